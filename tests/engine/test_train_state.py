"""What is saved is all that the next step depends on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from ecotui.engine import checkpoint
from ecotui.engine.compute import Capabilities, choose_compute, make_scaler
from ecotui.engine.model import make_ema
from ecotui.engine.optim import make_optimizer, make_schedule
from ecotui.engine.restoring import restore
from ecotui.engine.train_state import LoopState, Trainable, collect_files
from ecotui.resolved_config import ResolvedConfig, ResolvedTrain

CPU = Capabilities(num_cuda=0, has_mps=False, cuda_has_bf16=False, num_cpus=1)


def make(optimizer: str, seed: int) -> tuple[Trainable, Any]:
    torch.manual_seed(seed)
    network = timm.create_model("test_resnet", num_classes=3, drop_rate=0.3)
    config = ResolvedTrain(optimizer=optimizer, learning_rate=0.01, ema=True, layer_decay=0.9)
    built = make_optimizer(network, config, fused=False)
    schedule = make_schedule(built, config, steps_per_epoch=4)
    scaler = make_scaler(choose_compute(ResolvedConfig(), CPU))
    return Trainable(network, make_ema(network, config), built, scaler), schedule


def advance(trainable: Trainable, schedule: Any, steps: range) -> None:
    """Steps whose inputs come from the global generators, as dropout does."""
    for step in steps:
        images_BCHW = torch.rand(4, 3, 32, 32) * random.random() + float(np.random.rand())
        loss = trainable.network(images_BCHW).logsumexp(dim=1).mean()
        trainable.optimizer.zero_grad()
        loss.backward()
        trainable.optimizer.step()
        trainable.ema.update(trainable.network, step=step + 1)
        schedule.set_step(step + 1)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb", "adafactor"])
def test_a_restored_run_goes_on_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    whole, schedule = make(optimizer, seed=1)
    random.seed(5)
    np.random.seed(6)
    advance(whole, schedule, range(3))
    loop = LoopState(step=3, batch_in_epoch=3, loss_sum=0.1 + 0.2, best_value=0.5, set_aside=[7])
    saved = checkpoint.commit(
        tmp_path, checkpoint.step_name(tmp_path, 3), collect_files(whole, loop), {}
    ).path
    advance(whole, schedule, range(3, 6))

    other, other_schedule = make(optimizer, seed=2)
    advance(other, other_schedule, range(1))
    assert restore(saved, other) == loop
    other_schedule.set_step(3)
    advance(other, other_schedule, range(3, 6))

    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, other.network.state_dict()[name]), name
    for name, weight in whole.ema.module.state_dict().items():
        assert torch.equal(weight, other.ema.module.state_dict()[name]), name


def test_no_file_of_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    files = collect_files(make("adamw", seed=1)[0], LoopState())
    assert sorted(files) == [
        "ema.safetensors",
        "generators.safetensors",
        "loop.json",
        "model.safetensors",
        "optim.safetensors",
    ]
    for name, content in files.items():
        whole = content if isinstance(content, bytes) else b"".join(content)
        # Pickles open with the PROTO opcode 0x80, torch's archives with a zip signature.
        assert whole[:1] != b"\x80", name
        assert whole[:2] != b"PK", name


def test_a_loss_that_is_not_finite_can_be_saved(tmp_path: Path) -> None:
    trainable, _ = make("adamw", seed=1)
    files = collect_files(trainable, LoopState(loss_sum=float("nan")))
    path = checkpoint.commit(tmp_path, checkpoint.step_name(tmp_path, 0), files, {}).path
    loop = restore(path, trainable)
    assert np.isnan(loop.loss_sum)

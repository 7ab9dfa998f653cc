"""Steps of training on batches that are there already: ecotui's own, and those of a bare loop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ecotui.engine.assembly import Parts, assemble
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.data.index import DataIndex, Names
from ecotui.engine.data.loader import Batch
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.optim import make_optimizer
from ecotui.engine.saving import Saver
from ecotui.engine.train_state import LoopState
from ecotui.engine.trainer import Trainer
from ecotui.paths import RunDir
from ecotui.resolved_config import ResolvedConfig
from ecotui.stream import EventWriter

NUM_CLASSES = 10
NUM_BATCHES = 4
SMOOTHING = 0.1
"""Of the labels, in every loop: ecotui's default."""

Step = Callable[[Batch], None]


def config_of(
    model: str, image_size: int, batch_size: int, compute: Mapping[str, Any]
) -> ResolvedConfig:
    """Return the configuration of a long run without a schedule."""
    return ResolvedConfig.model_validate(
        {
            "data": {"root": "unused", "image_size": image_size},
            "model": {"name": model, "pretrained": False},
            "train": {
                "batch_size": batch_size,
                "learning_rate": 1e-4,
                "epochs": 1000,
                "scheduler": "none",
            },
            "compute": {"device": "cpu", "workers": 0, **compute},
        }
    )


def batches_of(image_size: int, batch_size: int) -> list[Batch]:
    """Return a few batches of noise, float32, B x 3 x `image_size` x `image_size`."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch_size, 3, image_size, image_size)
    return [
        Batch(
            torch.randn(shape, generator=generator),
            torch.randint(NUM_CLASSES, (batch_size,), generator=generator),
            tuple(range(batch_size)),
            (),
        )
        for _ in range(NUM_BATCHES)
    ]


def network_of(model: str, image_size: int) -> nn.Module:
    """Return a network with the same first weights each time."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"img_size": image_size} if "vit" in model or "eva" in model else {}
    network: nn.Module = timm.create_model(model, num_classes=NUM_CLASSES, **settings)
    return network.train()


def fused_adamw(network: nn.Module, config: ResolvedConfig) -> torch.optim.Optimizer:
    """Return the optimizer that ecotui takes."""
    return make_optimizer(network, config.train, fused=True)


def bare(network: nn.Module, optimizer: torch.optim.Optimizer, clip: float | None = None) -> Step:
    """Return one step of the loop that people write.

    Args:
        network: In training mode.
        optimizer: Of its weights.
        clip: Largest norm of all gradients; None leaves them.
    """

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = network(batch.images_BCHW)
        cross_entropy(logits, batch.labels_B, label_smoothing=SMOOTHING).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()

    return step


def parts_of(config: ResolvedConfig, writer: EventWriter) -> Parts:
    """Return what a run is made of, photos aside."""
    return assemble(config, _index(config.train.batch_size), writer)


def guarded(parts: Parts, run: RunDir, writer: EventWriter) -> Step:
    """Return one step of a real trainer, without its loader.

    Everything is on: screening, clipping, the guards, the kept buffers and generators, metrics,
    and the events of the steps, written to a file.
    """
    loop, copy = LoopState(), HostCopy()
    saver = Saver(
        run.path, parts.trainable, writer, interval_seconds=1e9, keep=2, facts={}, copy=copy
    )
    control = Control(run.commands, 0, writer, StopFlag())
    trainer = Trainer(parts, run, saver, loop, control, writer, copy=copy)
    trainer.protection.begin()
    trainer._set_mode()

    def step(batch: Batch) -> None:
        trainer._look()
        trainer._use(batch)
        trainer._state_steps_if_due()
        trainer.protection.epochs.judge_counts(is_whole=False)
        trainer.protection.note_step()
        trainer._save_if_due()

    gc.collect()
    return step


def run_in(folder: Path) -> RunDir:
    """Make an empty run directory."""
    run = RunDir(folder / "run")
    run.path.mkdir()
    return run


def _index(batch_size: int) -> DataIndex:
    count = 100 * batch_size
    ids = np.arange(count, dtype=np.int64)
    return DataIndex(
        root=Path("unused"),
        layout="classes",
        class_names=tuple(f"class {number}" for number in range(NUM_CLASSES)),
        names=Names(f"{number}.png".encode() for number in range(count)),
        labels=ids % NUM_CLASSES,
        splits={"train": ids, "val": ids[:8], "test": ids[:0]},
        notes=(),
    )

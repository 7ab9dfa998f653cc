"""Every `auto` becomes a choice; what this torch lacks has a fall-back."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch

from ecotui.engine import assembly
from ecotui.engine.compute import (
    Capabilities,
    choose_compute,
    is_out_of_memory,
    make_scaler,
    probe_capabilities,
    supports_fused,
)
from ecotui.errors import EnvironmentFaultError, ExitCode
from ecotui.resolved_config import ResolvedConfig
from tests.engine.checks.test_examination import assembled
from tests.engine.harness import Harness

CPU = Capabilities(num_cuda=0, has_mps=False, cuda_has_bf16=False, num_cpus=4)
MAC = Capabilities(num_cuda=0, has_mps=True, cuda_has_bf16=False, num_cpus=8)
GPU = Capabilities(num_cuda=2, has_mps=False, cuda_has_bf16=True, num_cpus=16)
OLD_GPU = Capabilities(num_cuda=1, has_mps=False, cuda_has_bf16=False, num_cpus=16)


def config(**sections: dict[str, Any]) -> ResolvedConfig:
    return ResolvedConfig.model_validate({"data": {"root": "x"}, **sections})


@pytest.mark.parametrize(
    ("capabilities", "device", "precision"),
    [(CPU, "cpu", "fp32"), (MAC, "mps", "fp32"), (GPU, "cuda", "bf16"), (OLD_GPU, "cuda", "fp16")],
)
def test_auto_takes_the_best_device_and_a_precision_it_computes_well(
    capabilities: Capabilities, device: str, precision: str
) -> None:
    chosen = choose_compute(config(), capabilities)
    assert (chosen.device, chosen.precision) == (device, precision)
    assert chosen.channels_last == (device == "cuda")
    assert chosen.non_blocking == (device == "cuda")


@pytest.mark.parametrize(
    ("asked", "capabilities"), [("cuda", CPU), ("cuda:2", GPU), ("mps", CPU), ("cuda:0", MAC)]
)
def test_an_absent_device_is_an_environment_fault_that_names_the_setting(
    asked: str, capabilities: Capabilities
) -> None:
    with pytest.raises(EnvironmentFaultError) as caught:
        choose_compute(config(compute={"device": asked}), capabilities)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert f"compute.device = '{asked}'" in caught.value.what


def test_a_numbered_device_that_exists_is_taken() -> None:
    assert choose_compute(config(compute={"device": "cuda:1"}), GPU).device == "cuda:1"


def test_mps_gets_micro_batches_of_two_and_overriding_it_warns() -> None:
    safe = choose_compute(config(train={"batch_size": 32}), MAC)
    assert safe.micro_batch_size == 2
    assert safe.warnings == ()
    forced = choose_compute(
        config(
            train={"batch_size": 32, "micro_batch_size": 16},
            model={"gradient_checkpointing": True},
        ),
        MAC,
    )
    assert forced.micro_batch_size == 16
    assert len(forced.warnings) == 2
    assert not forced.non_blocking


def test_the_micro_batch_never_exceeds_the_batch() -> None:
    chosen = choose_compute(config(train={"batch_size": 8, "micro_batch_size": 64}), CPU)
    assert chosen.micro_batch_size == 8
    assert choose_compute(config(train={"batch_size": 8}), CPU).micro_batch_size == 8


def test_fp16_on_the_cpu_becomes_bf16_and_says_so() -> None:
    chosen = choose_compute(config(compute={"precision": "fp16"}), CPU)
    assert chosen.precision == "bf16"
    assert "fp16" in chosen.warnings[0]


def test_workers_and_threads_can_be_set() -> None:
    chosen = choose_compute(config(compute={"workers": 0, "threads": 3}), GPU)
    assert (chosen.workers, chosen.threads) == (0, 3)
    assert choose_compute(config(), CPU).workers == 2
    assert choose_compute(config(), GPU).workers == 8


def test_this_machine_can_be_probed() -> None:
    capabilities = probe_capabilities()
    assert capabilities.num_cpus >= 1
    assert choose_compute(config(), capabilities).threads == capabilities.num_cpus


def test_fused_is_found_by_trying() -> None:
    class Refusing(torch.optim.AdamW):
        def __init__(self, params: Any, *, fused: bool = False, **rest: Any) -> None:
            if fused:
                raise RuntimeError("`fused=True` requires all the params to be CUDA")
            super().__init__(params, **rest)

    has_fused = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 4)
    assert supports_fused(torch.optim.AdamW, "cpu") is has_fused
    assert not supports_fused(Refusing, "cpu")


def test_the_scaler_is_off_except_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose_compute(config(), CPU)
    assert make_scaler(chosen).state_dict() == {}
    monkeypatch.delattr(torch.amp, "GradScaler", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        assert make_scaler(chosen).state_dict() == {}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("x"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_apart(error: BaseException, verdict: bool) -> None:
    assert is_out_of_memory(error) is verdict


@pytest.mark.parametrize(
    ("device", "is_pinned"), [("cpu", False), ("mps", False), ("cuda:1", True)]
)
def test_loaders_deliver_page_locked_batches_for_cuda_alone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, device: str, is_pinned: bool
) -> None:
    parts = assembled(harness)
    asked: list[bool] = []

    def loader(*_: Any, pin_memory: bool, **__: Any) -> None:
        asked.append(pin_memory)

    monkeypatch.setattr(assembly, "TrainLoader", loader)
    monkeypatch.setattr(assembly, "EvalLoader", loader)
    assembly._loaders(
        parts.config,
        parts.index,
        parts.transforms,
        replace(parts.compute, device=device),
        parts.supervision,
        parts.built.spec.image_size,
        None,
    )
    assert len(asked) >= 2
    assert set(asked) == {is_pinned}

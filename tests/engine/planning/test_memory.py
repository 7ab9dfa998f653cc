"""What a device has, and the peak of a measurement: real on the CPU, with stand-ins elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ecotui.engine.machine.memory import Memory
from ecotui.engine.planning import memory
from ecotui.engine.planning.memory import (
    ACCELERATOR_MARGIN_FRACTION,
    HOST_MARGIN_FRACTION,
    CudaMeter,
    MpsMeter,
    ProcessMeter,
    Room,
    meter_of,
    room_on,
)

GIGABYTE = 1_000_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's mark of Linux")
def test_a_peak_is_seen_after_it_has_gone_and_forgotten_by_the_next() -> None:
    meter = ProcessMeter()
    meter.begin()
    before = meter.peak_bytes()
    held = torch.ones(50_000_000)  # 200 MB, every page of it touched
    del held
    peak = meter.peak_bytes()
    assert before is not None
    assert peak is not None
    assert 190e6 < peak - before < 260e6
    meter.begin()
    after = meter.peak_bytes()
    assert after is not None
    assert after < peak - 150e6


def test_where_the_mark_cannot_be_reset_only_a_new_high_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    highest = [500]
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(memory, "_highest_ever", lambda: highest[0])
    meter = ProcessMeter()
    meter.begin()
    assert meter.peak_bytes() is None
    highest[0] = 800
    assert meter.peak_bytes() == 800


def test_main_memory_is_what_is_available_and_held_less_the_margin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        memory, "measure_memory", lambda: Memory(16 * GIGABYTE, 3 * GIGABYTE, 5 * GIGABYTE)
    )
    monkeypatch.setattr(memory, "resident_bytes", lambda: GIGABYTE)
    room = room_on("cpu")
    # The container's limit is the whole memory there is for this process.
    assert room.limit_bytes == int(4 * GIGABYTE - HOST_MARGIN_FRACTION * 5 * GIGABYTE)
    assert room.margin_fraction == HOST_MARGIN_FRACTION


def test_memory_that_nobody_tells_of_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "measure_memory", lambda: Memory(None, None, None))
    assert room_on("cpu").limit_bytes is None
    assert room_on("cpu").holds(1e18)
    assert not Room(10, 0.1).holds(11)
    assert Room(10, 0.1).holds(None)


class Cuda:
    """Stands for torch's allocator on a CUDA device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        answers = {
            "mem_get_info": lambda device: (60 * GIGABYTE, 80 * GIGABYTE),
            "memory_reserved": lambda device: 4 * GIGABYTE,
            "max_memory_reserved": lambda device: 7 * GIGABYTE,
            "synchronize": lambda device: self.done.append(f"synchronize {device}"),
            "empty_cache": lambda: self.done.append("empty"),
            "reset_peak_memory_stats": lambda device: self.done.append(f"reset {device}"),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)


def test_a_cuda_device_has_what_is_free_and_what_is_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Cuda(monkeypatch)
    room = room_on("cuda:1")
    margin = ACCELERATOR_MARGIN_FRACTION * 80 * GIGABYTE
    assert room.limit_bytes == int(64 * GIGABYTE - margin)


def test_a_cuda_peak_is_what_the_allocator_took(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Cuda(monkeypatch)
    meter = meter_of("cuda:1")
    assert isinstance(meter, CudaMeter)
    meter.begin()
    assert device.done == ["synchronize cuda:1", "empty", "reset cuda:1"]
    assert meter.peak_bytes() == 7 * GIGABYTE
    assert device.done[-1] == "synchronize cuda:1"


def test_apples_gpu_may_use_what_metal_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 10 * GIGABYTE, raising=False)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: done.append("synchronize"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: done.append("empty"))
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 3 * GIGABYTE)
    assert room_on("mps").limit_bytes == int(10 * GIGABYTE * (1 - ACCELERATOR_MARGIN_FRACTION))
    meter = meter_of("mps")
    assert isinstance(meter, MpsMeter)
    meter.begin()
    assert done == ["synchronize", "empty"]
    assert meter.peak_bytes() == 3 * GIGABYTE


def test_a_torch_that_does_not_know_metals_limit_gives_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.mps, "recommended_max_memory", raising=False)
    assert room_on("mps").limit_bytes is None

"""How much memory the device has for a run, and how the peak of a measurement is read."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from ecotui.engine.heap import release_freed
from ecotui.engine.machine.memory import measure_memory

ACCELERATOR_MARGIN_FRACTION = 0.10
"""Of an accelerator's memory, left free: the allocator's pieces do not fit one another, and
libraries take workspaces that no measurement of a few steps has seen. Lightning leaves 5 % after
its search, Ultralytics 40 %; with what was measured being what the allocator holds, not what
tensors fill, a tenth has room to spare."""

HOST_MARGIN_FRACTION = 0.20
"""Of main memory, left free: other programs and the cache of files live there, and who takes the
last of it is killed without a word."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Sets the peak of the resident memory to the present. Source: proc(5), clear_refs."""


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that a run may take.

    Attributes:
        limit_bytes: What may be used, the margin taken off; None where nobody tells.
        margin_fraction: Of the whole memory, left free.
    """

    limit_bytes: int | None
    margin_fraction: float

    def holds(self, num_bytes: float | None) -> bool:
        """Say whether so much fits; what is not known is taken to."""
        return self.limit_bytes is None or num_bytes is None or num_bytes <= self.limit_bytes


class Meter(Protocol):
    """Reads the most memory that was held at one moment."""

    def begin(self) -> None:
        """Begin a measurement: forget the peaks before."""

    def peak_bytes(self) -> int | None:
        """Return the peak since `begin`, in bytes; None where it cannot be told."""


def room_on(device: str) -> Room:
    """Return what a run may take of a device's memory; on the CPU, of main memory."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        free_bytes, total_bytes = torch.cuda.mem_get_info(device)
        usable = free_bytes + torch.cuda.memory_reserved(device)
        return _room(usable, total_bytes, ACCELERATOR_MARGIN_FRACTION)
    if kind == "mps":
        recommended = getattr(torch.mps, "recommended_max_memory", None)
        total = int(recommended()) if recommended is not None else None
        return _room(total, total, ACCELERATOR_MARGIN_FRACTION)
    return host_room()


def host_room() -> Room:
    """Return what this process may hold of main memory, within a container's limit too."""
    memory = measure_memory()
    known = [size for size in (memory.total, memory.limit) if size is not None]
    usable = None if memory.available is None else memory.available + (resident_bytes() or 0)
    return _room(usable, min(known, default=None), HOST_MARGIN_FRACTION)


def meter_of(device: str) -> Meter:
    """Return what reads the peak of a device's memory; on the CPU, of this process."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return CudaMeter(device)
    if kind == "mps":
        return MpsMeter()
    return ProcessMeter()


class CudaMeter:
    """Reads what torch's allocator took from a CUDA device: tensors, and the gaps between them.

    Args:
        device: Such as `cuda:0`.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def begin(self) -> None:
        """Give back what is not in use, and begin anew."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak_bytes(self) -> int | None:
        """Return the most that was reserved."""
        torch.cuda.synchronize(self._device)
        return int(torch.cuda.max_memory_reserved(self._device))


class MpsMeter:
    """Reads what Metal's driver holds for this process.

    Its pool grows as needed and gives nothing back by itself, so what it holds after a
    measurement that began with an empty pool is the peak.
    """

    def begin(self) -> None:
        """Give back what is not in use."""
        torch.mps.synchronize()
        torch.mps.empty_cache()

    def peak_bytes(self) -> int | None:
        """Return what the driver holds."""
        torch.mps.synchronize()
        return int(torch.mps.driver_allocated_memory())


class ProcessMeter:
    """Reads the peak of this process's resident memory.

    On Linux the kernel's high-water mark, which a process may reset. Elsewhere the mark only
    rises, so a peak that stays below an earlier one cannot be told. Memory that was freed but
    is kept by the C library is given back first: else a measurement would find it there and
    take less of its own.
    """

    def __init__(self) -> None:
        self._before: int | None = None
        self._is_reset = False

    def begin(self) -> None:
        """Give freed memory back, and begin anew."""
        release_freed()
        self._is_reset = _reset_peak()
        self._before = None if self._is_reset else _highest_ever()

    def peak_bytes(self) -> int | None:
        """Return the most that was resident."""
        if self._is_reset:
            return _status_bytes("VmHWM")
        peak = _highest_ever()
        return peak if self._before is None or peak > self._before else None


def resident_bytes() -> int | None:
    """Return what this process holds of main memory; None where nobody tells."""
    return _status_bytes("VmRSS")


def _room(usable: int | None, total: int | None, margin_fraction: float) -> Room:
    if usable is None:
        return Room(None, margin_fraction)
    return Room(max(0, int(usable - margin_fraction * (total or usable))), margin_fraction)


def _reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def _status_bytes(name: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith(f"{name}:")), [])
    return int(words[1]) * 1_024 if len(words) > 1 and words[1].isdecimal() else None


def _highest_ever() -> int:
    """Return the high-water mark of the whole life of this process; macOS counts in bytes."""
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

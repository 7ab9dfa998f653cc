"""Main memory, what of it is left, and the memory that workers share."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ecotui.engine.verdicts import noted, passed, warned
from ecotui.findings import CheckReported
from ecotui.text import bytes_size

LOW_MEMORY_BYTES = 2_000_000_000
"""Below it a warning: torch alone takes 0.5 GB, a small model with its data as much again."""
LOW_SHARED_BYTES = 1_000_000_000
"""Below it a warning: docker gives 64 MB, and a batch of 64 photos in fp32 takes 39 MB."""
MUCH_SWAPPED_FRACTION = 0.5

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
SHARED = Path("/dev/shm")  # noqa: S108 - looked at, never written to


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory, in bytes; None where the system does not tell.

    Attributes:
        total: Of the machine.
        available: What processes may still take, within the limit.
        limit: Of the control group (a container's, for instance) where there is one.
    """

    total: int | None
    available: int | None
    limit: int | None


def measure_memory() -> Memory:
    """Ask the system, and the control group of this process, about the memory."""
    total, available = _system_memory()
    limit, used = _cgroup_memory()
    if limit is not None and available is not None:
        available = max(0, min(available, limit - used))
    return Memory(total, available, limit)


def check_memory() -> CheckReported:
    """Judge the memory that is left."""
    memory = measure_memory()
    if memory.total is None or memory.available is None:
        return noted("memory", "this system does not tell how much memory is available")
    held = bytes_size(memory.total)
    if memory.limit is not None:
        held += f" (limited to {bytes_size(memory.limit)})"
    seen = f"{bytes_size(memory.available)} of {held} memory available"
    if memory.available < LOW_MEMORY_BYTES:
        return warned(
            "memory",
            seen,
            f"{bytes_size(LOW_MEMORY_BYTES)} available",
            "close other programs, or lower train.micro_batch_size and compute.workers",
        )
    return passed("memory", seen)


def check_swap() -> CheckReported:
    """Say how much memory the system has put out to the disk."""
    table = _meminfo()
    total, free = table.get("SwapTotal"), table.get("SwapFree")
    if not total or free is None:
        return noted("swap", "no swap, or the system does not tell of it")
    used = total - free
    seen = f"{bytes_size(used)} of {bytes_size(total)} swap in use"
    if used > MUCH_SWAPPED_FRACTION * total:
        return warned(
            "swap",
            seen,
            f"less than {bytes_size(MUCH_SWAPPED_FRACTION * total)} in use",
            "close other programs, or lower train.micro_batch_size and compute.workers",
        )
    return passed("swap", seen)


def check_shared_memory() -> CheckReported:
    """Judge the room in which workers of torch's own loader hand over their batches."""
    try:
        usage = shutil.disk_usage(SHARED)
    except OSError:
        return noted("shared_memory", f"this system has no {SHARED}")
    seen = f"{bytes_size(usage.free)} of {bytes_size(usage.total)} free in {SHARED}"
    if usage.free < LOW_SHARED_BYTES:
        return warned(
            "shared_memory",
            seen,
            f"{bytes_size(LOW_SHARED_BYTES)} free",
            "give the container more (docker run --shm-size=2g), or set compute.workers=0",
        )
    return passed("shared_memory", seen)


def _system_memory() -> tuple[int | None, int | None]:
    table = _meminfo()
    if "MemTotal" in table and "MemAvailable" in table:
        return table["MemTotal"], table["MemAvailable"]
    return _sysconf_bytes("SC_PHYS_PAGES"), _sysconf_bytes("SC_AVPHYS_PAGES")


def _meminfo() -> dict[str, int]:
    """Return what Linux tells of its memory, in bytes; empty elsewhere."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = [(line.partition(":")[0], line.partition(":")[2].split()) for line in lines]
    return {name: int(words[0]) * 1_024 for name, words in pairs if words and words[0].isdecimal()}


def _sysconf_bytes(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _cgroup_memory() -> tuple[int | None, int]:
    """Return the limit and the use of the control group, version 2 or 1.

    Cached files are no use of it: they go where memory is asked for. A data set that was
    read once would otherwise fill every container.
    """
    for limit_name, used_name, table_name, prefix in (
        ("memory.max", "memory.current", "memory.stat", ""),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_",
        ),
    ):
        try:
            limit = int((CGROUP / limit_name).read_text(encoding="ascii"))
            used = int((CGROUP / used_name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # `max` is no number: there is no limit.
            continue
        if limit < 1 << 60:  # version 1 writes a huge number for none
            return limit, max(0, used - _cached(CGROUP / table_name, prefix))
    return None, 0


def _cached(path: Path, prefix: str) -> int:
    """Return the bytes of cached files that a control group's table names."""
    wanted = {f"{prefix}{name}" for name in ("active_file", "inactive_file")}
    try:
        pairs = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        return sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in wanted)
    except (OSError, ValueError):
        return 0

"""What the machine has: memory, and room where the runs lie."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ecotui.engine.verdicts import failed, noted, passed, warned
from ecotui.events import CheckReported
from ecotui.text import bytes_size, visible

LOW_MEMORY_BYTES = 2_000_000_000
"""Below it a warning: torch alone takes 0.5 GB, a small model with its data as much again."""
LOW_DISK_BYTES = 5_000_000_000
"""Below it a warning: the checkpoints of a base-sized model with its optimizer take 2 GB."""
NO_DISK_BYTES = 200_000_000
"""Below it a failure: not even one checkpoint of a small model has room."""

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


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


def check_disk(runs_path: Path) -> CheckReported:
    """Judge the room where the runs lie, and whether it can be written to."""
    place = next(path for path in (runs_path, *runs_path.parents) if path.exists())
    remedy = "free some space there, or put the runs elsewhere: --runs-dir FOLDER"
    try:
        free_bytes = shutil.disk_usage(place).free
        _write_something(place)
    except OSError as error:
        return failed(
            "disk",
            f"{visible(runs_path)} cannot be written to: {visible(error.strerror)}",
            "a folder that this user may write to, on a disk with room",
            "check its permissions, or put the runs elsewhere: --runs-dir FOLDER",
        )
    seen = f"{bytes_size(free_bytes)} free where the runs lie ({visible(runs_path)})"
    if free_bytes < NO_DISK_BYTES:
        return failed("disk", seen, f"at least {bytes_size(NO_DISK_BYTES)}", remedy)
    if free_bytes < LOW_DISK_BYTES:
        return warned("disk", seen, f"{bytes_size(LOW_DISK_BYTES)}", remedy)
    return passed("disk", seen)


def _write_something(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=".ecotui-", dir=folder) as file:
        file.write(b"x" * 4_096)
        file.flush()


def _system_memory() -> tuple[int | None, int | None]:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        table = {line.partition(":")[0]: line.split()[1] for line in lines if ":" in line}
        return int(table["MemTotal"]) * 1_024, int(table["MemAvailable"]) * 1_024
    except (OSError, ValueError, KeyError, IndexError):
        return _sysconf_bytes("SC_PHYS_PAGES"), _sysconf_bytes("SC_AVPHYS_PAGES")


def _sysconf_bytes(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _cgroup_memory() -> tuple[int | None, int]:
    """Return the limit and the use of the control group, version 2 or 1."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit = int((CGROUP / limit_name).read_text(encoding="ascii"))
            used = int((CGROUP / used_name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # `max` is no number: there is no limit.
            continue
        if limit < 1 << 60:  # version 1 writes a huge number for none
            return limit, used
    return None, 0

"""How busy the machine is: processors, memory and disk, from /proc and the control group.

Cheap enough for every five seconds: a few small files are read, no process is started.
What a system does not tell is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecotui import disk
from ecotui.engine.machine.memory import measure_memory
from ecotui.engine.machine.processors import cgroup_processors, usable_processors

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
SLOW_SECONDS = 0.05
"""Where the kernel takes longer to sum up a process's memory, its resident set is read instead."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What was measured at one look; sizes in bytes, None where nobody tells.

    Attributes:
        cpu_fraction: Of the processors that may be used, since the look before, 0 to 1.
        used: Memory of the host, or of its control group where that is narrower.
        total: Of the same.
        engine: Memory of this process and its children that cannot be read again from
            files, shared pages counted once.
        disk_free: Where the run lies.
    """

    cpu_fraction: float | None
    used: int | None
    total: int | None
    engine: int | None
    disk_free: int | None


class Gauges:
    """Looks at the machine again and again.

    Args:
        run_path: Whose disk is looked at.
        clock: Monotonic seconds.
    """

    def __init__(self, run_path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._run_path = run_path
        self._clock = clock
        self._has_slow_sums = False
        self._before = self._processor_time()

    def look(self) -> Gauge:
        """Measure everything once."""
        memory = measure_memory()
        limit, total, available = memory.limit, memory.total, memory.available
        if limit is not None and (total is None or limit < total):
            total = limit
        used = None if total is None or available is None else max(0, total - available)
        return Gauge(
            self._cpu_fraction(),
            used,
            total,
            self._engine_bytes(),
            disk.free_bytes(self._run_path),
        )

    def _cpu_fraction(self) -> float | None:
        before, self._before = self._before, self._processor_time()
        if before is None or self._before is None:
            return None
        spent, given = self._before[0] - before[0], self._before[1] - before[1]
        return min(1.0, max(0.0, spent / given)) if given > 0 else None

    def _processor_time(self) -> tuple[float, float] | None:
        """Return seconds of processors used and given so far."""
        limit = cgroup_processors()
        used = _cgroup_seconds()
        if limit is not None and used is not None:
            return used, self._clock() * min(limit, usable_processors())
        return _system_seconds() or _own_seconds(self._clock())

    def _engine_bytes(self) -> int | None:
        pids = [os.getpid(), *children_of(os.getpid())]
        sizes = [size for pid in pids if (size := self._size_of(pid)) is not None]
        return sum(sizes) if sizes else None

    def _size_of(self, pid: int) -> int | None:
        if not self._has_slow_sums:
            started = self._clock()
            size = _unshared_bytes(pid)
            self._has_slow_sums = self._clock() - started > SLOW_SECONDS
            if size is not None:
                return size
        return _resident_bytes(pid)


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children; empty where the system does not tell."""
    found = []
    try:
        for thread in os.listdir(PROC / str(pid) / "task"):
            text = (PROC / str(pid) / "task" / thread / "children").read_text(encoding="ascii")
            found += [int(word) for word in text.split()]
    except (OSError, ValueError):  # A thread that has just ended, or no such file in this kernel.
        return found
    return found


def _unshared_bytes(pid: int) -> int | None:
    """Return anonymous and shared memory of a process, each page divided among its holders."""
    table = _table(PROC / str(pid) / "smaps_rollup")
    if "Pss_Anon" in table:
        return table["Pss_Anon"] + table.get("Pss_Shmem", 0) + table.get("SwapPss", 0)
    return table.get("Pss")


def _resident_bytes(pid: int) -> int | None:
    table = _table(PROC / str(pid) / "status")
    if "RssAnon" in table:
        return table["RssAnon"] + table.get("RssShmem", 0)
    return table.get("VmRSS")


def _table(path: Path) -> dict[str, int]:
    """Return the lines `name: number kB` of a file of the kernel, in bytes."""
    found: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdecimal():
            found[name] = int(words[0]) * 1_024
    return found


def _cgroup_seconds() -> float | None:
    """Return the processor time that this control group has used, version 2 or 1."""
    try:
        text = (CGROUP / "cpu.stat").read_text(encoding="ascii")
        pairs = dict(line.split() for line in text.splitlines())
        return int(pairs["usage_usec"]) / 1e6
    except (OSError, ValueError, KeyError):
        pass
    try:
        return int((CGROUP / "cpuacct" / "cpuacct.usage").read_text(encoding="ascii")) / 1e9
    except (OSError, ValueError):
        return None


def _system_seconds() -> tuple[float, float] | None:
    """Return the time used and given of the processors that this process may run on.

    Source: proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    used = given = 0.0
    try:
        lines = (PROC / "stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, *words = line.split()
        number = name.removeprefix("cpu")
        if not name.startswith("cpu") or not number.isdecimal() or int(number) not in allowed:
            continue
        times = [float(word) for word in words[:8]]
        given += sum(times)
        used += sum(times) - sum(times[3:5])
    return (used, given) if given else None


def _own_seconds(now: float) -> tuple[float, float]:
    """Return what this process and its ended children used, of all processors: macOS."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return own, now * usable_processors()

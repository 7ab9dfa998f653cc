"""Processors that this process may use, and files that it may hold open."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from ecotui.engine.verdicts import noted, passed, warned
from ecotui.findings import CheckReported
from ecotui.text import counted

CGROUP = Path("/sys/fs/cgroup")
FEW_FILES = 1_024
"""A run with eight workers holds some 300; file_descriptor sharing one more a tensor."""


def check_processors() -> CheckReported:
    """Say how many processors there are, and how many of them this process may use."""
    there, usable = os.cpu_count() or 1, usable_processors()
    limit = cgroup_processors()
    seen = counted(there, "processor")
    if usable < there:
        seen += f", {usable} of them for this process"
    if limit is not None and limit < usable:
        return warned(
            "processors",
            f"{seen}, but its control group grants the time of {limit:g}",
            "as much time as there are processors in sight",
            f"set compute.threads={max(1, int(limit))}, or give the container more",
        )
    return passed("processors", seen)


def usable_processors() -> int:
    """Return how many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_processors() -> float | None:
    """Return how many processors' time the control group grants; None without a limit."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
        return float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # `max` is no number: there is no limit.
        pass
    try:
        quota = (CGROUP / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (CGROUP / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def check_open_files() -> CheckReported:
    """Judge how many files a process may hold open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return passed("open_files", "a process may hold any number of files open")
    seen = f"a process may hold {counted(soft, 'file')} open"
    if soft >= FEW_FILES:
        return passed("open_files", seen)
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        return noted("open_files", f"{seen}, and may not ask for {FEW_FILES:,}")
    return warned("open_files", seen, f"{FEW_FILES:,} or more", f"ulimit -n {FEW_FILES * 4}")

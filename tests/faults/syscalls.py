"""Records the system calls of one save with strace, and makes one of them fail or kill.

strace can fail or kill a process at the n-th call of a kind, without a special file system.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import one_save

ROOT = Path(__file__).resolve().parents[2]
KINDS = (
    *("openat", "mkdir", "mkdirat", "write", "fsync", "fdatasync", "close", "rename", "renameat"),
    *("renameat2", "unlink", "unlinkat", "rmdir", "ftruncate", "link", "linkat", "statfs"),
)
"""Calls that can change a disk, or that a full one can refuse."""
_LINE = re.compile(r"(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)(.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a save.

    Attributes:
        kind: Its name.
        arguments: As strace writes them, with the paths of descriptors.
        result: What it returned.
        nth: It was the n-th of its kind since the process began.
    """

    kind: str
    arguments: str
    result: int
    nth: int


@functools.cache
def why_not() -> str:
    """Return why strace cannot be used here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def need_strace() -> None:
    """Skip a test, loudly, where processes may not be traced."""
    if why_not():
        pytest.skip(f"NOT TRIED: system calls cannot be traced here: {why_not()}")


def prepare(run: Path, steps: tuple[int, ...] = (0, 1)) -> None:
    """Make the folder of a run that holds the states of some steps."""
    run.mkdir(parents=True)
    for step in steps:
        one_save.save(run / "checkpoints", step)


def trace(run: Path, *options: str, in_place: bool = False) -> tuple[int, list[Call]]:
    """Save once under strace, and return its exit status and the calls since the marker.

    Args:
        run: Folder of a run.
        options: More of strace's `-e`.
        in_place: Save as one must not, for a control.
    """
    log = run.parent / f"{run.name}.strace"
    command = [sys.executable, "-B", "-I", "-c", _script(), str(run)]
    command += ["--in-place"] if in_place else []
    kinds = ",".join((*KINDS, "newfstatat", "stat", "statx"))
    done = subprocess.run(
        ["strace", "-f", "-y", "-s", "16", "-o", str(log), "-e", f"trace={kinds}"]
        + [part for option in options for part in ("-e", option)]
        + command,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, _parse(log.read_text(errors="replace"))


def _script() -> str:
    return (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); "
        "from tests.faults import one_save; os._exit(one_save.main())"
    )


def _parse(text: str) -> list[Call]:
    counts: Counter[str] = Counter()
    calls: list[Call] = []
    has_begun = False
    for line in text.splitlines():
        matched = _LINE.match(line)
        if one_save.MARKER in line:
            has_begun = True
        elif matched is not None:
            kind = matched[1]
            counts[kind] += 1
            if has_begun and kind in KINDS:
                calls.append(Call(kind, matched[2], int(matched[3]), counts[kind]))
    return calls

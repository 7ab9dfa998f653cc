"""Disks that refuse: one call of the system, or all that is written below a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def failing(call: str, number: int, code: int) -> Iterator[list[int]]:
    """Let one call of the system fail, from 1 on; yields the numbers of calls that came."""
    real: Callable[..., Any] = getattr(os, call)
    came: list[int] = []

    def fake(*arguments: Any, **named: Any) -> Any:
        came.append(1)
        if len(came) == number:
            if call == "close":
                real(*arguments, **named)
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    patch = pytest.MonkeyPatch()
    patch.setattr(os, call, fake)
    try:
        yield came
    finally:
        patch.undo()


@contextmanager
def full(folder: Path, code: int = errno.ENOSPC) -> Iterator[None]:
    """Let nothing be written into files below a folder."""
    real_write = os.write

    def is_below(descriptor: int) -> bool:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder))

    def write(descriptor: int, content: Any) -> int:
        if is_below(descriptor):
            raise OSError(code, os.strerror(code))
        return real_write(descriptor, content)

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "write", write)
    try:
        yield
    finally:
        patch.undo()

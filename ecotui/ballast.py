"""A little room on the disk, held for what must still be told when there is no other."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from ecotui import disk
from ecotui.durable import write_whole

BALLAST_BYTES = 262_144
"""Some hundreds of events; the end of a run and what led to it take a few."""
REMAKE_SECONDS = 30.0
"""After it was given up, it is made again no sooner."""


class Ballast:
    """A file of no use but its size, given up when the disk is full.

    Args:
        path: Where it lies.
        clock: Monotonic seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._given_up_at = 0.0
        self._is_held = False
        self._make()

    def give_up(self) -> bool:
        """Free its room, and say whether there was any to free."""
        was_held, self._is_held = self._is_held, False
        self._given_up_at = self._clock()
        if was_held:
            self.remove()
        return was_held

    def restore(self) -> None:
        """Make it again, some time after it was given up, where there is room for more than it."""
        if self._is_held or self._clock() - self._given_up_at < REMAKE_SECONDS:
            return
        self._given_up_at = self._clock()
        with contextlib.suppress(OSError):  # the run goes on without
            free = disk.free_bytes(self._path.parent)
            if free is None or free > 4 * BALLAST_BYTES:
                self._make()

    def remove(self) -> None:
        """Take it away, as at the end of a run."""
        self._is_held = False
        with contextlib.suppress(OSError):  # it harms nobody
            os.unlink(self._path)

    def _make(self) -> None:
        # Random, as some file systems keep no zeros. Without room the run goes on without it.
        with contextlib.suppress(OSError):
            if not (self._path.is_file() and self._path.stat().st_size == BALLAST_BYTES):
                write_whole(self._path, os.urandom(BALLAST_BYTES))
            self._is_held = True

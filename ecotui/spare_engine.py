"""An engine's process that has loaded its libraries before there is a run for it.

Loading torch and timm takes seconds, in which a person is still choosing. The process waits at its
standard input for the arguments of a run; where that ends without any, so does it. Whether it may
load anything by itself, and what becomes of it where the environment has changed meanwhile, is the
engine's own concern (`ecotui.engine.spare`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

SPARE = "--spare"
"""The argument of an engine that waits for its run."""
BUSY_LOAD = 0.5
"""Processes that want to run, for each processor, above which none is started ahead."""
READY = b"ready\n"
"""What it writes when it has loaded everything."""


class SpareEngine:
    """At most one process that waits for a run."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._let_go: list[subprocess.Popen[bytes]] = []

    def begin(self, argv: Sequence[str]) -> None:
        """Start one, where none waits and the processors have nothing else to do.

        Args:
            argv: How an engine is started.
        """
        if self._process is not None or _is_busy():
            return
        # Without one a run begins as it would have begun anyway.
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [*argv, SPARE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                close_fds=True,
            )

    def take(self, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes] | None:
        """Give a run to the process that waits.

        Args:
            argv: How the engine of that run is started.
            log: Where its output goes.

        Returns:
            The process, whose run has begun; None where none is ready.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        with self._letting_go(process):
            if process.poll() is not None or not _is_ready(process):
                return None
            told = json.dumps({"argv": list(argv), "log": os.path.abspath(log)})
            try:
                os.write(_end(process.stdin), told.encode() + b"\n")
            except OSError:
                return None
        return process

    def end(self) -> None:
        """Need none any more."""
        if self._process is not None:
            with self._letting_go(self._process):
                self._process = None

    @contextlib.contextmanager
    def _letting_go(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Close both pipes after a block: one that was given nothing ends of it, in its time."""
        try:
            yield
        finally:
            self._let_go.append(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Say whether it waits; while it still loads, it may take for ever, and is not waited for."""
    ready, _, _ = select.select([_end(process.stdout)], [], [], 0.0)
    return bool(ready) and os.read(_end(process.stdout), len(READY)) == READY


def _end(pipe: IO[bytes] | None) -> int:
    return -1 if pipe is None else pipe.fileno()


def _is_busy() -> bool:
    """Say whether others need the processors: a run that trains here, or the app itself."""
    num_processors = os.cpu_count() or 1
    try:
        return num_processors == 1 or os.getloadavg()[0] > BUSY_LOAD * num_processors
    except OSError:
        return True

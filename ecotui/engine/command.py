"""A command whose output is told while it runs, and that can be stopped.

Knows processes and their output; knows nothing of what is run.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ecotui.text import visible

POLL_SECONDS = 0.05
TOLD_INTERVAL_SECONDS = 0.2
"""Lines are told in bundles this far apart."""
MAX_LINES_A_BUNDLE = 10
MAX_LINE_CHARACTERS = 500
SECONDS_TO_LEAVE = 5.0
"""How long a command that is asked to end may take."""
_MAX_WAITING_LINES = 50
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SECRETS = re.compile(r"(?i)([?&](?:[\w-]*(?:token|key|password|secret|signature|sig)))=[^&\s]+")


def without_credentials(text: str) -> str:
    """Return text in which no address tells a name, a password or a token."""
    return _SECRETS.sub(r"\1=***", _CREDENTIALS.sub("***@", text))


class Teller:
    """Hands lines on, so many at a time; of a flood the last lines are told and counted.

    Args:
        say: Takes a harmless line.
        clock: Monotonic seconds.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._waiting: deque[str] = deque()
        self._torn = b""
        self._told_at = float("-inf")
        self._num_left_out = 0
        self.last = ""

    def take(self, chunk: bytes) -> None:
        """Take some output; a line that is not whole yet waits for its end."""
        *whole, self._torn = re.split(rb"[\r\n]+", self._torn + chunk)
        for line in whole:
            self._add(line)
        if len(self._torn) > 65_536:
            self._add(self._torn)
            self._torn = b""

    def tell(self) -> None:
        """Hand on what is due by now."""
        if self._waiting and self._clock() - self._told_at >= TOLD_INTERVAL_SECONDS:
            self._told_at = self._clock()
            for _ in range(min(MAX_LINES_A_BUNDLE, len(self._waiting))):
                self._say(self._waiting.popleft())

    def close(self) -> None:
        """Hand on all that is left."""
        self._add(self._torn)
        if self._num_left_out:
            self._say(f"({self._num_left_out} lines left out)")
        while self._waiting:
            self._say(self._waiting.popleft())

    def _add(self, raw: bytes) -> None:
        text = without_credentials(raw.decode("utf-8", "replace").rstrip())
        if not text:
            return
        self.last = visible(text, limit=MAX_LINE_CHARACTERS)
        self._waiting.append(self.last)
        if len(self._waiting) > _MAX_WAITING_LINES:
            self._waiting.popleft()
            self._num_left_out += 1


def run_command(
    argv: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    poll: Callable[[], None],
    say: Callable[[str], None],
    limit_seconds: float,
) -> str:
    """Run a command to its end and return how it failed, empty where it went well.

    Args:
        argv: Never seen by a shell.
        folder: In which it runs.
        environ: All its environment variables.
        poll: Called every 50 ms; what it raises ends the command and all that it started.
        say: Takes each line that it prints, harmless and without credentials.
        limit_seconds: It is ended after that.
    """
    teller = Teller(say)
    deadline = time.monotonic() + limit_seconds
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"it cannot be started: {visible(error, limit=200)}"
    try:
        in_time = _read(process, teller, poll, deadline)
    finally:
        _end(process)
        teller.close()
    if not in_time:
        return f"it took longer than {limit_seconds:g} s"
    if process.returncode == 0:
        return ""
    said = f": {teller.last}" if teller.last else ""
    if process.returncode < 0:
        return f"it was killed by signal {-process.returncode}{said}"
    return f"it left with status {process.returncode}{said}"


def _read(
    process: subprocess.Popen[bytes], teller: Teller, poll: Callable[[], None], deadline: float
) -> bool:
    """Tell what the command prints until it is gone, and say whether it kept the limit."""
    assert process.stdout is not None  # noqa: S101 - a pipe: see run_command
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            poll()
            ready = selector.select(POLL_SECONDS)
            chunk = os.read(process.stdout.fileno(), 65_536) if ready else b""
            teller.take(chunk)
            teller.tell()
            # A process that it left behind may hold the pipe open, or close it early.
            if not chunk and process.poll() is not None:
                return True
            if ready and not chunk:
                time.sleep(POLL_SECONDS)
            if time.monotonic() > deadline:
                return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command, where it still runs, and whatever it started."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_LEAVE)
    _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

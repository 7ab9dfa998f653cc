"""A command on a terminal of its own, which can be read, typed into and closed."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.terminal.picture import Picture

SECONDS = 20.0
"""Until what is waited for has come, or never will."""


class Terminal:
    """A command on a terminal of its own.

    Args:
        command: The program and its arguments.
        columns: Of the terminal.
        rows: Of it.
        folder: Where the command runs; None for here.
    """

    def __init__(
        self, *command: str, columns: int = 80, rows: int = 24, folder: Path | None = None
    ) -> None:
        self.drawn = b""
        self._picture, self._fed = Picture(columns, rows), 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.chdir(folder or ".")
            os.execv(command[0], command)  # noqa: S606
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self.master, False)

    @property
    def picture(self) -> Picture:
        """What is to be seen now, of what was read."""
        self._picture.feed(self.drawn[self._fed :])
        self._fed = len(self.drawn)
        return self._picture

    def wait_until(self, is_so: Callable[[str], object], seconds: float = SECONDS) -> None:
        """Read until the lines of the screen are as they should be."""
        deadline = time.monotonic() + seconds
        while not is_so(str(self.picture)):
            assert time.monotonic() < deadline, f"never came:\n{self.picture}"
            self.read()

    def read(self, pause_seconds: float = 0.02) -> None:
        try:
            self.drawn += os.read(self.master, 65_536)
        except OSError:  # Nothing is there yet; or the other end is closed, on Linux.
            time.sleep(pause_seconds)

    def wait_for(self, words: bytes) -> None:
        deadline = time.monotonic() + SECONDS
        while words not in self.drawn:
            assert time.monotonic() < deadline, f"{words!r} never came: {self.drawn[-2000:]!r}"
            self.read()

    def settle(self, quiet_seconds: float = 0.25, most_seconds: float = 5.0) -> None:
        """Read until nothing has come for a while."""
        deadline, quiet_since = time.monotonic() + most_seconds, time.monotonic()
        while time.monotonic() < min(deadline, quiet_since + quiet_seconds):
            before = len(self.drawn)
            self.read()
            if len(self.drawn) > before:
                quiet_since = time.monotonic()

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        os.close(self.master)

    def left_with(self, *, reads: bool = True) -> int:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if reads:
                self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("the app did not leave")

"""A command on a terminal of its own, which can be read, typed into and closed."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
import time

SECONDS = 20.0
"""Until what is waited for has come, or never will."""


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.drawn = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(command[0], command)  # noqa: S606
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self.master, False)

    def read(self) -> None:
        try:
            self.drawn += os.read(self.master, 65_536)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # Linux says so when the other end is closed.
            time.sleep(0.02)

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

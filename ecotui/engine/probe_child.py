"""One process that tries things: what it is asked, what it says, and whether it still works."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Any

from ecotui.text import visible

_SCRIPT = Path(__file__).with_name("probe_script.py")
_MAX_LINE_BYTES = 262_144
_MAX_WORDS_BYTES = 16_384
_MAX_LINES = 50_000
"""Importing torch and timm tells some 3,000 modules."""
_SECONDS_TO_DIE = 2.0


class Child:
    """A process that runs `probe_script`, in a session of its own.

    Args:
        python: The interpreter.
        request: What it is to try.
        alone: It was begun for its behaviours alone.

    Attributes:
        begun: The step it said last that it begins; empty after the end of the step.
        status: How it ended, as `Popen.returncode`; None before.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, python: str, request: dict[str, Any], *, alone: bool) -> None:
        self.imports: tuple[str, ...] = tuple(request["imports"])
        self.behaviours: tuple[str, ...] = tuple(request["behaviours"])
        self.alone = alone
        self.begun = ""
        self._partial, self._words = b"", b""
        self._told: list[dict[str, Any]] = []
        self._num_lines = 0
        self._sign: tuple[int, ...] = ()
        self._signed_at = time.monotonic()
        self._process = subprocess.Popen(
            [python, str(_SCRIPT), json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            close_fds=True,
            start_new_session=True,
        )

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its answers, and what it prints."""
        answers, words = self._process.stdout, self._process.stderr
        if answers is None or words is None:
            raise RuntimeError("a child without pipes")
        return answers, words

    @property
    def status(self) -> int | None:
        """How it ended; None before."""
        return self._process.returncode

    @property
    def last_words(self) -> str:
        """The last line that it printed, harmless."""
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        return visible(lines[-1], limit=200) if lines else ""

    def hear(self, pipe: IO[bytes]) -> bool:
        """Take what a pipe holds, and say whether more may come."""
        try:
            chunk = os.read(pipe.fileno(), 65_536)
        except BlockingIOError:
            return False
        if pipe is not self.pipes[0]:
            self._words = (self._words + chunk)[-_MAX_WORDS_BYTES:]
            return bool(chunk)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._partial = self._partial[:_MAX_LINE_BYTES]
        for line in lines:
            self._understand(line)
        return bool(chunk)

    def drain(self, pipe: IO[bytes]) -> None:
        """Take what is left in a pipe without waiting for more."""
        os.set_blocking(pipe.fileno(), False)
        for _ in range(256):
            if not self.hear(pipe):
                break

    def take(self) -> list[dict[str, Any]]:
        """Return what was told since the last time."""
        told, self._told = self._told, []
        return told

    def is_gone(self) -> bool:
        """Say whether the process has ended."""
        return self._process.poll() is not None

    def is_silent(self, seconds: float) -> bool:
        """Say whether an import has shown no sign of work for so long, where that can be seen."""
        now = time.monotonic()
        sign = _sign_of_work(self._process.pid) if self.begun.startswith("import:") else None
        if sign is None or sign != self._sign:
            self._sign, self._signed_at = sign or (), now
        return now - self._signed_at > seconds

    def end(self) -> None:
        """Kill it with all that it started; one that the kernel holds is left behind."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_DIE)

    def close(self) -> None:
        """Close its pipes."""
        for pipe in self.pipes:
            pipe.close()

    def _understand(self, line: bytes) -> None:
        """Keep an answer; anything else is passed over."""
        told: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(line)
        self._num_lines += 1
        if not isinstance(told, dict) or self._num_lines > _MAX_LINES:
            return
        if "module" in told or "loaded" in told:
            self._told.append(told)
        elif isinstance(told.get("step"), str):
            self.begun = told["step"] if told.get("state") == "begun" else ""
            self._told.append(told)


def ending_of(status: int | None) -> str:
    """Return in words how a process ended."""
    if status is None:
        return "Python could not even be killed"
    if status >= 0:
        return f"Python left with status {status} and without an answer"
    try:
        name = f", {signal.Signals(-status).name}"
    except ValueError:
        name = ""
    return f"Python crashed (signal {-status}{name})"


def _sign_of_work(pid: int) -> tuple[int, ...] | None:
    """Return counts that grow while a process imports: page faults and bytes read.

    None where the system does not tell, or where it waits for a disk.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        if fields[0] == "D":
            return None
        io = Path(f"/proc/{pid}/io").read_text(encoding="ascii").split()
        return int(fields[7]), int(fields[9]), int(io[1]), int(io[5])
    except (OSError, ValueError, IndexError):
        return None

"""A child process that tries what the engine will need, so that a crash or a hang is an answer.

Knows how the child is asked and how it may end; what its answers mean is judged elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ecotui.text import visible

STEPS = ("torch", "numpy_torch", "torchvision", "timm", "device")
"""What the child tries, in order: names of `probe_script.STEPS`."""
LIMIT_SECONDS = 60.0
"""All steps together; importing torch takes 4 s on a slow machine, 20 s from a cold disk."""
POLL_SECONDS = 0.05
_SCRIPT = Path(__file__).with_name("probe_script.py")
_MAX_ANSWER_BYTES = 262_144
_MAX_WORDS_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Answer:
    """How one step went.

    Attributes:
        seen: What it found; None where it failed.
        fault: What went wrong, harmless text; empty where it went well.
    """

    seen: dict[str, Any] | None
    fault: str = ""


@dataclass(slots=True)
class _Child:
    """One process, what it has said so far, and how it ended."""

    process: subprocess.Popen[bytes]
    answers: bytearray = field(default_factory=bytearray)
    words: bytearray = field(default_factory=bytearray)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Probe:
    """Tries every step in a child of this interpreter, begun at once; a context manager.

    Args:
        device: Where to compute: `auto`, or a device's name.
        limit_seconds: For all steps together.
        python: The interpreter to try.
    """

    def __init__(
        self, device: str, *, limit_seconds: float = LIMIT_SECONDS, python: str = sys.executable
    ) -> None:
        self._device = device
        self._limit_seconds = limit_seconds
        self._python = python
        self._deadline = time.monotonic() + limit_seconds
        self._child = self._begin(STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.end()

    def answers(self, poll: Callable[[], None]) -> dict[str, Answer]:
        """Wait for the answers; a step that Python died of is followed by a fresh child.

        Without torch, and after a hang, the remaining steps have no answer.

        Args:
            poll: Called while waiting, every 50 ms; what it raises ends the child.
        """
        found: dict[str, Answer] = {}
        while True:
            in_time = self._wait(poll)
            found |= _told(bytes(self._child.answers))
            left = [step for step in STEPS if step not in found]
            if not left or ("torch" in found and found["torch"].seen is None):
                return found
            found[left[0]] = Answer(None, self._how_it_ended(in_time))
            if not in_time or left[0] == "torch" or len(left) == 1:
                return found
            self._child.end()
            self._child = self._begin(left[1:])

    def _begin(self, steps: Sequence[str]) -> _Child:
        script = _SCRIPT.read_text(encoding="utf-8")
        limit = str(self._limit_seconds)
        return _Child(
            subprocess.Popen(
                [
                    self._python,
                    "-c",
                    script,
                    ",".join(steps),
                    self._device,
                    limit,
                    str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                close_fds=True,
            )
        )

    def _wait(self, poll: Callable[[], None]) -> bool:
        """Collect what the child says until it is gone, and say whether it kept the limit."""
        process = self._child.process
        with selectors.DefaultSelector() as selector:
            for pipe, kept in (
                (process.stdout, self._child.answers),
                (process.stderr, self._child.words),
            ):
                assert pipe is not None  # noqa: S101 - both are pipes: see _begin
                selector.register(pipe, selectors.EVENT_READ, kept)
            while selector.get_map():
                poll()
                ready = selector.select(POLL_SECONDS)
                for key, _ in ready:
                    chunk = os.read(key.fd, 65_536)
                    if chunk:
                        _keep(key.data, chunk, is_answers=key.data is self._child.answers)
                    else:
                        selector.unregister(key.fileobj)
                if not ready and process.poll() is not None:
                    break  # A process of its own that it left behind may hold the pipes.
                if time.monotonic() > self._deadline:
                    process.kill()
                    process.wait()
                    return False
        process.wait()
        return True

    def _how_it_ended(self, in_time: bool) -> str:
        if not in_time:
            how = f"no answer within {self._limit_seconds:g} s"
        else:
            how = _ending(self._child.process.returncode)
        words = self._child.words.decode("utf-8", "replace").strip().splitlines()
        return how + (f"; its last words: {visible(words[-1], limit=200)}" if words else "")


def _keep(kept: bytearray, chunk: bytes, *, is_answers: bool) -> None:
    """Keep the beginning of the answers and the end of the words: neither fills the memory."""
    if is_answers:
        kept += chunk[: max(0, _MAX_ANSWER_BYTES - len(kept))]
    else:
        kept += chunk
        del kept[: max(0, len(kept) - _MAX_WORDS_BYTES)]


def _told(answers: bytes) -> dict[str, Answer]:
    """Return the answers among the lines; anything else is passed over."""
    found = {}
    for line in answers.splitlines():
        told: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(line)
        if not isinstance(told, dict) or told.get("step") not in STEPS:
            continue
        if told.get("state") == "done" and isinstance(told.get("seen"), dict):
            found[told["step"]] = Answer(told["seen"])
        elif told.get("state") == "failed":
            found[told["step"]] = Answer(None, visible(told.get("error"), limit=1_000))
    return found


def _ending(status: int) -> str:
    if status >= 0:
        return f"Python left with status {status} and without an answer"
    try:
        name = f", {signal.Signals(-status).name}"
    except ValueError:
        name = ""
    return f"Python crashed (signal {-status}{name})"

"""Records of facts: append whole lines, decode them, follow them from an offset.

Knows the file format and nothing of what the events mean.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from ecotui.events import TERMINAL_KINDS, AnyEvent, Event, event_adapter

MAX_BITE_BYTES = 262_144
"""A reader takes at most this much at once, so that a long history never blocks a frame."""


class EventWriter:
    """The one writer of a run's events; safe to call from any thread.

    Each event gets the next `seq` and both clocks. Terminal events are flushed
    to the disk, the others only handed to the system: telemetry may be lost in
    a power cut, the end of a run should not be. After a terminal event the
    attempt says nothing more, whatever a thread still tries.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall_clock: Callable[[], float] = time.time,
        monotonic_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall_clock = wall_clock
        self._monotonic_clock = monotonic_clock
        self._started = monotonic_clock()
        self._guard = threading.Lock()
        self._seq = _mend_and_count(path)
        self._has_ended = False
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )

    def __call__(self, event: Event) -> None:
        """Stamp and append one event."""
        with self._guard:
            if self._has_ended:
                return
            self._has_ended = event.kind in TERMINAL_KINDS
            self._seq += 1
            stamped = event.model_copy(
                update={
                    "seq": self._seq,
                    "at": self._wall_clock(),
                    "since_start": self._monotonic_clock() - self._started,
                }
            )
            _write_all(self._descriptor, stamped.model_dump_json().encode() + b"\n")
            if self._has_ended:
                os.fsync(self._descriptor)

    def sync(self) -> None:
        """Flush to the disk what was appended."""
        with self._guard:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def decode(line: bytes) -> AnyEvent | None:
    """Return the event of a line; None for a kind or shape this version does not know."""
    try:
        return event_adapter().validate_json(line)
    except ValidationError:
        return None


@dataclass(slots=True)
class Tail:
    """A reader's place in a growing log."""

    path: Path
    offset: int = 0
    num_unknown: int = 0
    """Lines passed over because this version does not know them."""
    _rest: bytes = field(default=b"", repr=False)

    def read(self, *, limit: int = MAX_BITE_BYTES) -> list[tuple[bytes, AnyEvent]]:
        """Return the next whole lines with their events, at most about `limit` bytes.

        A torn last line waits for its end. A file that is not there yet is empty.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                chunk = file.read(limit)
        except FileNotFoundError:
            return []
        self.offset += len(chunk)
        whole, newline, rest = (self._rest + chunk).rpartition(b"\n")
        if not newline:
            self._rest = rest
            return []
        self._rest = rest
        found: list[tuple[bytes, AnyEvent]] = []
        for line in whole.split(b"\n"):
            if not line:
                continue
            event = decode(line)
            if event is None:
                self.num_unknown += 1
            else:
                found.append((line, event))
        return found


def _mend_and_count(path: Path) -> int:
    """Cut a torn last line off and return the `seq` of the last whole one."""
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - 1_048_576)
            file.seek(start)
            tail = file.read()
            whole, newline, torn = tail.rpartition(b"\n")
            if torn:
                file.truncate(size - len(torn))
    except FileNotFoundError:
        return 0
    for line in reversed(whole.split(b"\n") if newline else []):
        event = decode(line) if line else None
        if event is not None:
            return event.seq
    return 0


def _write_all(descriptor: int, payload: bytes) -> None:
    view = memoryview(payload)
    while view:
        view = view[os.write(descriptor, view) :]

"""Records of facts: append whole lines, decode them, follow them from an offset.

Knows the file format and nothing of what the events mean.
"""

from __future__ import annotations

import contextlib
import json
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

MAX_LINE_BYTES = 4_194_304
"""A longer line is no event; the longest one, 100 classes with long names, is a tenth of it."""

MEND_WINDOW_BYTES = 1_048_576
"""How much of the end of a log is looked at for its last whole line, at first."""


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
        """Stamp and append one event.

        Raises:
            OSError: The line cannot be written, the disk being full for instance;
                nothing of it stays in the file, and `seq` keeps its place.
        """
        with self._guard:
            if self._has_ended:
                return
            stamped = event.model_copy(
                update={
                    "seq": self._seq + 1,
                    "at": self._wall_clock(),
                    "since_start": self._monotonic_clock() - self._started,
                }
            )
            _append_whole(self._descriptor, stamped.model_dump_json().encode() + b"\n")
            self._seq += 1
            self._has_ended = event.kind in TERMINAL_KINDS
            if self._has_ended:
                os.fsync(self._descriptor)

    def sync(self) -> None:
        """Flush to the disk what was appended."""
        with self._guard:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a later event raises OSError."""
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1


def whole_bytes(path: Path) -> int:
    """Return the size of a log in bytes, a torn last line left out; 0 where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - MAX_LINE_BYTES)
            file.seek(start)
            whole, newline, _ = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return 0
    return start + len(whole) + 1 if newline else 0


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
    """Where the first line not yet read begins."""
    num_unknown: int = 0
    """Lines passed over because this version does not know them."""
    _in_oversized: bool = field(default=False, repr=False)

    def read(self, *, limit: int = MAX_BITE_BYTES) -> list[tuple[bytes, AnyEvent]]:
        """Return the next events with their raw lines, from about `limit` bytes at most.

        A torn last line waits for its end, and is read again from the file: a
        writer that resumes the run cuts it off and writes another in its place.
        A line beyond `MAX_LINE_BYTES` counts as unknown. A file that is not
        there yet is empty.
        """
        found: list[tuple[bytes, AnyEvent]] = []
        for line in self._whole_lines(limit):
            event = decode(line)
            if event is None:
                self.num_unknown += 1
            else:
                found.append((line, event))
        return found

    def _whole_lines(self, limit: int) -> list[bytes]:
        chunk = self._chunk(limit)
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            if len(rest) >= MAX_LINE_BYTES:
                self._in_oversized = True
                self.offset += len(rest)
            return []
        self.offset += len(whole) + 1
        lines = whole.split(b"\n")
        if self._in_oversized:
            self._in_oversized = False
            self.num_unknown += 1
            del lines[0]
        return [line for line in lines if line]

    def _chunk(self, limit: int) -> bytes:
        """Return about `limit` bytes, more where one line is longer than that."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                chunk = file.read(limit)
                while chunk and b"\n" not in chunk and len(chunk) < MAX_LINE_BYTES:
                    more = file.read(limit)
                    if not more:
                        break
                    chunk += more
        except FileNotFoundError:
            return b""
        return chunk


def _mend_and_count(path: Path) -> int:
    """Cut a torn last line off and return the `seq` of the last whole one."""
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            window = MEND_WINDOW_BYTES
            while True:
                start = max(0, size - window)
                file.seek(start)
                whole, _, torn = file.read().rpartition(b"\n")
                seq = _last_seq(whole, whole_from_start=start == 0)
                if start == 0 or seq is not None:
                    break
                window *= 4
            if torn:
                file.truncate(size - len(torn))
    except FileNotFoundError:
        return 0
    return seq or 0


def _last_seq(whole: bytes, *, whole_from_start: bool) -> int | None:
    """Return the last `seq` in these lines, also of a kind this version does not know."""
    lines = whole.split(b"\n")
    for line in reversed(lines if whole_from_start else lines[1:]):
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            seq = json.loads(line)["seq"]
            if isinstance(seq, int) and seq > 0:
                return seq
    return None


def _append_whole(descriptor: int, payload: bytes) -> None:
    """Append all of it, or, when the disk is full, none of it."""
    size_before = os.fstat(descriptor).st_size
    view = memoryview(payload)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        with contextlib.suppress(OSError):  # the fault that counts is the one raised
            os.ftruncate(descriptor, size_before)
        raise

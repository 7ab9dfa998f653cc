"""Records of facts: append whole lines, decode them, follow them from an offset.

Knows the file format and nothing of what the events mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from ecotui import disk
from ecotui.ballast import Ballast
from ecotui.durable import sync_file
from ecotui.events import TERMINAL_KINDS, AnyEvent, Event, LogWritten, event_adapter

MAX_BITE_BYTES = 262_144
"""A reader takes at most this much at once, so that a long history never blocks a frame."""

MAX_LINE_BYTES = 4_194_304
"""A longer line is no event; the longest one, 100 classes with long names, is a tenth of it."""

MEND_WINDOW_BYTES = 1_048_576
"""How much of the end of a log is looked at for its last whole line, at first."""

PROGRESS_KINDS = frozenset(
    {"heartbeat", "stage_advanced", "steps_taken", "setup_advanced", "machine_measured"}
)
"""Reports of progress, which the next one makes up for."""

SYNCED_KINDS = TERMINAL_KINDS | {"checkpoint_saved"}
"""What a power cut must not take back."""

MAX_WAITING = 10_000
"""Events that wait for room on the disk; beyond it they are dropped, except the last of a run."""


class EventWriter:
    """The one writer of a run's events; safe to call from any thread.

    Each event gets the next `seq` and both clocks. Terminal events and saved
    checkpoints are flushed to the disk, the others only handed to the system:
    telemetry may be lost in a power cut, the end of a run should not be. After a
    terminal event the attempt says nothing more, whatever a thread still tries.

    Where the disk cannot be written, the engine does not die of it: reports of
    progress are dropped and counted; all else waits, in order, for the next
    event that can be written, and the ballast is given up for it.

    Args:
        path: The log; made if missing.
        ballast_path: Where a little room is held for a full disk; None: nowhere.
    """

    def __init__(
        self,
        path: Path,
        *,
        ballast_path: Path | None = None,
        wall_clock: Callable[[], float] = time.time,
        monotonic_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall_clock = wall_clock
        self._monotonic_clock = monotonic_clock
        self._started = monotonic_clock()
        self._guard = threading.Lock()
        self._seq = _mend_and_count(path)
        self._has_ended = False
        self._waiting: deque[Event] = deque()
        self._num_dropped = 0
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        self._size = os.fstat(self._descriptor).st_size
        self._ballast = None if ballast_path is None else Ballast(ballast_path)

    def __call__(self, event: Event) -> None:
        """Stamp and append one event, after those that still wait.

        Raises:
            OSError: The line cannot be written, and the disk is not the cause;
                nothing of it stays in the file, and `seq` keeps its place.
        """
        with self._guard:
            if self._has_ended:
                return
            stamped = event.model_copy(
                update={
                    "at": self._wall_clock(),
                    "since_start": self._monotonic_clock() - self._started,
                }
            )
            self._waiting.append(stamped)
            self._has_ended = event.kind in TERMINAL_KINDS
            if not self._drain() and self._is_droppable(stamped):
                self._waiting.pop()
                self._num_dropped += 1
        if event.kind in SYNCED_KINDS:
            self._flush()

    def sync(self) -> None:
        """Append what still waits, and flush all to the disk, as far as the disk allows."""
        with self._guard:
            self._drain()
        self._flush()

    def close(self) -> None:
        """Close the file; a later event raises OSError."""
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _is_droppable(self, event: Event) -> bool:
        is_flood = len(self._waiting) > MAX_WAITING and event.kind not in TERMINAL_KINDS
        return is_flood or event.kind in PROGRESS_KINDS

    def _drain(self) -> bool:
        """Append what waits, and say whether all of it is written."""
        while self._waiting:
            try:
                self._append(self._waiting[0])
            except OSError as error:
                if not disk.is_storage_fault(error):
                    self._waiting.popleft()
                    raise
                if self._is_droppable(self._waiting[0]) or not self._make_room(error):
                    return False
            else:
                self._waiting.popleft()
        self._tell_dropped()
        if self._ballast is not None:
            self._ballast.remove() if self._has_ended else self._ballast.restore()
        return True

    def _append(self, event: Event) -> None:
        if os.fstat(self._descriptor).st_size != self._size:
            # A line that the disk took in part, and then refused to cut off.
            os.ftruncate(self._descriptor, self._size)
        stamped = event.model_copy(update={"seq": self._seq + 1})
        line = stamped.model_dump_json().encode() + b"\n"
        disk.append_whole(self._descriptor, line, self._size)
        self._size += len(line)
        self._seq += 1

    def _make_room(self, error: OSError) -> bool:
        return disk.is_full(error) and self._ballast is not None and self._ballast.give_up()

    def _tell_dropped(self) -> None:
        """Say once how much was dropped, when it can be said."""
        if not self._num_dropped or self._has_ended:
            return
        told = LogWritten(
            severity="warning",
            message=f"{self._num_dropped:,} reports of progress are missing before this one: "
            "the disk could not be written",
            at=self._wall_clock(),
            since_start=self._monotonic_clock() - self._started,
        )
        with contextlib.suppress(OSError):  # then it is said after the next event
            self._append(told)
            self._num_dropped = 0

    def _flush(self) -> None:
        try:
            sync_file(self._descriptor)
        except OSError as error:
            if not disk.is_storage_fault(error):
                raise


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

"""The files that an audit has to read, several at a time, also where some of them never come."""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.alike_content import hash_alike
from ecotui.engine.audit.cache import Cache, Known
from ecotui.engine.audit.crew import Crew
from ecotui.engine.audit.looks import colour_figures, measure
from ecotui.engine.audit.reading import Content, Look, fetch, see
from ecotui.engine.audit.records import FORMATS, Outcome, Rows, Tiles
from ecotui.engine.data.index import DataIndex
from ecotui.engine.heap import ARRAYS_BYTES, keep_freed_memory
from ecotui.text import duration, visible

FILES_AT_ONCE = 128
"""Files that a thread reads before it hands its findings over: many small pictures are measured
together for little more than a few."""
BYTES_AT_ONCE = 8_388_608
"""And bytes: a few large files are work enough."""
SECONDS_AT_ONCE = 0.5
"""And seconds: from a slow drive, what was read is told before the rest is."""
FILES_AHEAD = 32
"""Files of those that are read before the first of them is decoded."""

STORE_SECONDS = 30.0
"""What was read is stored at least so often, unless storing itself takes long."""

COLOUR_SAMPLES = 512
"""Photos whose colours are looked at, at least, of small sets an eighth, or 64.

Decoding in colours costs a third more than in grey. The mean colours of photos of one set spread
by about 0.1 in 0 to 1, the mean of 64 by 0.013; a normalisation is called far off from 0.2 on.
"""

PATIENCE_SECONDS = 2.0
"""Of a scan whose time is over, for the files that are being read."""

NAMED_SECONDS = 20.0
"""After which a file that is still being read is named."""
LOST_SECONDS = 120.0
"""After which nobody waits for a file any more, and a thread takes the place of its own.

A read from a hard NFS mount whose server is gone never returns (nfs(5), `hard`); one from a
tape or a cloud drive takes a minute now and then."""

_POLL_SECONDS = 0.1
_NUMBER_OF_FORMAT = {name: number for number, name in enumerate(FORMATS)}


class Sweep:
    """The files that are left, on their way through the threads that read them.

    Args:
        index: The data set.
        found: What is known of its files; is filled in.
        cache: Where it is kept.
        max_pixels: Largest photo that is decoded.
        poll: Called ten times a second; what it raises ends the reading.
        advance: Told how many more files are done.
        is_over: Says when to read no more; None: all is read. Called in other threads, too.
        warn: Told of files that do not come.

    Attributes:
        num_read: Files that were read.
        num_bytes: Of those.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        index: DataIndex,
        found: Known,
        cache: Cache,
        max_pixels: int,
        poll: Callable[[], None],
        advance: Callable[[int], None],
        is_over: Callable[[], bool] | None,
        warn: Callable[[str], None],
    ) -> None:
        self._index, self._found, self._cache = index, found, cache
        self._is_spread, self._is_over = is_over is not None, is_over or _never
        self._root = os.fsencode(index.root) + b"/"
        self._max_pixels, self._poll, self._advance = max_pixels, poll, advance
        self._colour_stride = _colour_stride(len(index.names))
        self._store_due = time.monotonic() + STORE_SECONDS
        self._warn = warn
        self._waiting: deque[tuple[NDArray[np.int64], Future[list[Look]]]] = deque()
        self._being_read: dict[int, tuple[int, float]] = {}
        self._named: set[int] = set()
        self.num_read = self.num_bytes = 0

    def run(self, remaining: NDArray[np.int64], threads: int) -> None:
        """Read them; what was read until something is raised is stored all the same."""
        keep_freed_memory(ARRAYS_BYTES)
        self._crew = Crew(self._read, threads)
        try:
            for chunk in self._chunks(remaining, threads):
                if self._is_over():
                    break
                self._waiting.append((chunk, self._crew.submit(chunk)))
                # A few chunks ahead: neither do threads wait, nor do pictures pile up.
                if len(self._waiting) > 2 * threads:
                    self._take(*self._waiting.popleft())
            while self._waiting:
                self._take(*self._waiting.popleft())
            hash_alike(self._index, self._found.rows, self._poll)
        finally:
            self._crew.dismiss()
            self._store()

    def _chunks(self, remaining: NDArray[np.int64], threads: int) -> list[NDArray[np.int64]]:
        """Share files out: few at a time where they are large, and where the end is near.

        In no order where the scan may be cut short: in order of the names it would know the
        first classes only.
        """
        ends = np.cumsum(self._found.rows["size"][remaining])
        chunks, start = [], 0
        while start < len(remaining):
            before = int(ends[start - 1]) if start else 0
            fitting = int(np.searchsorted(ends, before + BYTES_AT_ONCE, side="right")) - start
            share = -(-(len(remaining) - start) // (2 * threads))
            stop = start + max(1, min(FILES_AT_ONCE, fitting, share))
            chunks.append(remaining[start:stop])
            start = stop
        if self._is_spread:
            random.Random(0).shuffle(chunks)
        return chunks

    def _read(self, chunk: NDArray[np.int64]) -> list[Look]:
        """Look at some files, fewer where the time is over or they are slow; runs in a thread."""
        looks: list[Look] = []
        until = time.monotonic() + SECONDS_AT_ONCE
        for start in range(0, len(chunk), FILES_AHEAD):
            if self._is_over() or (looks and time.monotonic() > until):
                break
            looks += self._looks(chunk, slice(start, start + FILES_AHEAD))
        if self._being_read.pop(int(chunk[0]), None) is None:
            return []  # given up meanwhile: another thread has what was left
        shown = [place for place, seen in enumerate(looks) if seen.greys is not None]
        rows, tiles = measure([looks[place].greys for place in shown])  # type: ignore[misc]
        self._write_looks(chunk[shown], rows, tiles)
        coloured = [place for place, seen in enumerate(looks) if seen.colours is not None]
        figures = colour_figures([looks[place].colours for place in coloured])  # type: ignore[misc]
        self._write_colours(chunk[coloured], figures)
        for seen in looks:
            seen.greys = seen.colours = None
        return looks

    def _looks(self, chunk: NDArray[np.int64], part: slice) -> list[Look]:
        """Read a few files, then look at them: code that was just used runs twice as fast."""
        first, ids = int(chunk[0]), chunk[part].tolist()
        contents: list[Content | Look] = []
        for sample_id in ids:
            self._being_read[first] = (sample_id, time.monotonic())
            contents.append(fetch(os.fsdecode(self._root + self._index.names.raw(sample_id))))
            if self._is_over():
                break
        looks: list[Look] = []
        for sample_id, content in zip(ids, contents, strict=False):
            if isinstance(content, Look):
                looks.append(content)
                continue
            self._being_read[first] = (sample_id, time.monotonic())
            is_sampled = sample_id % self._colour_stride == 0
            looks.append(see(content, max_pixels=self._max_pixels, wants_colours=is_sampled))
        return looks

    def _write_looks(self, ids: NDArray[np.int64], rows: Rows, tiles: Tiles) -> None:
        for key in ("bright_99", "bright_5", "entropy", "histogram_spread", "edges"):
            self._found.rows[key][ids] = rows[key]
        self._found.tiles[ids] = tiles

    def _write_colours(self, ids: NDArray[np.int64], figures: NDArray[np.float32]) -> None:
        self._found.rows["is_coloured"][ids] = 1
        self._found.rows["colour_mean"][ids] = figures[:, 0]
        self._found.rows["colour_square"][ids] = figures[:, 1]

    def _take(self, chunk: NDArray[np.int64], future: Future[list[Look]]) -> None:
        """Wait for some files and write down what was seen."""
        looks = self._awaited(chunk, future)
        chunk, rest = chunk[: len(looks)], chunk[len(looks) :]
        if not looks:
            return
        if len(rest) and not self._is_over():
            self._waiting.append((rest, self._crew.submit(rest)))
        self._write(chunk, looks)
        self.num_read += len(looks)
        self.num_bytes += int(self._found.rows["size"][chunk].sum())
        self._advance(len(looks))
        if time.monotonic() >= self._store_due:
            self._store()

    def _awaited(self, chunk: NDArray[np.int64], future: Future[list[Look]]) -> list[Look]:
        """Return what a thread saw; nothing where a file never comes and the time is over."""
        over_at: float | None = None
        while True:
            self._poll()
            try:
                return future.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                if not self._is_over():
                    if self._gives_up(chunk):
                        return []
                    continue
            now = time.monotonic()
            over_at = over_at or now
            if now - over_at > PATIENCE_SECONDS:
                return []

    def _gives_up(self, chunk: NDArray[np.int64]) -> bool:
        """Name the file that a thread waits for, and in the end go on without it."""
        sample_id, since = self._being_read.get(int(chunk[0]), (-1, 0.0))
        seconds = time.monotonic() - since
        if sample_id < 0 or seconds < NAMED_SECONDS:
            return False
        name = visible(self._index.path_of(sample_id))
        if seconds < LOST_SECONDS:
            if sample_id not in self._named:
                self._named.add(sample_id)
                self._warn(
                    f"still waiting for {name}, for {duration(seconds)}: its drive or its mount "
                    f"does not answer; after {duration(LOST_SECONDS)} the audit goes on without it"
                )
            return False
        if self._being_read.pop(int(chunk[0]), None) is None:
            return False  # it came just now
        reason = f"reading it did not end within {duration(LOST_SECONDS)}"
        self._found.rows["outcome"][sample_id] = Outcome.UNREADABLE
        self._found.rows["mtime_ns"][sample_id] = 0  # so that the next audit tries it again
        self._found.remarks[sample_id] = reason
        self._warn(f"{name}: {reason}; the audit goes on without it")
        self.num_read += 1
        self._advance(1)
        rest = chunk[chunk != sample_id]
        self._crew.add_thread()
        if len(rest):
            self._waiting.append((rest, self._crew.submit(rest)))
        return True

    def _write(self, ids: NDArray[np.int64], looks: Sequence[Look]) -> None:
        rows = self._found.rows
        rows["checksum"][ids] = np.array([seen.checksum for seen in looks], dtype=np.uint64)
        rows["width"][ids] = [seen.width for seen in looks]
        rows["height"][ids] = [seen.height for seen in looks]
        rows["traits"][ids] |= np.array([seen.traits for seen in looks], dtype=np.uint8)
        rows["format"][ids] = [_NUMBER_OF_FORMAT.get(seen.format, 0) for seen in looks]
        for sample_id, seen in zip(ids.tolist(), looks, strict=True):
            if seen.reason:
                self._found.remarks[sample_id] = seen.reason
        rows["outcome"][ids] = [seen.outcome for seen in looks]

    def _store(self) -> None:
        """Keep what was read so far for the next audit."""
        if not self._found.tiles_name or not self.num_read:
            return
        started = time.monotonic()
        try:
            self._cache.store(self._found)
        except OSError:
            self._found.tiles_name = ""
        now = time.monotonic()
        self._store_due = now + max(STORE_SECONDS, 20.0 * (now - started))


def _never() -> bool:
    return False


def _colour_stride(count: int) -> int:
    """Return of how many photos one is looked at in colours."""
    return max(1, min(8, count // 64), count // COLOUR_SAMPLES)

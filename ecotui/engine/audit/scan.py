"""Every file read once, several at a time; what has not changed is taken from the cache."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.alike_content import hash_alike
from ecotui.engine.audit.cache import Cache, Known, carried_over
from ecotui.engine.audit.identity import identify
from ecotui.engine.audit.records import TILE_SIDE, Outcome, Rows, Tiles, Trait, row_file
from ecotui.engine.audit.sweep import Sweep
from ecotui.engine.data.index import DataIndex

MAX_THREADS = 32


@dataclass(slots=True)
class Scan:
    """What is known of all photos.

    Attributes:
        rows: A row each, `[N]`.
        tiles: A small picture each, `[N, TILE_SIDE, TILE_SIDE]`, in a file.
        remarks: What there is to say of single files, by sample id.
        num_read: Files that were read now.
        num_bytes: Of those.
        num_left_out: Files that there was no time for: nothing is known of them.
        is_same: Whether every file is as an earlier audit knew it.
        cache: Where it is kept; None where that cannot be.
    """

    rows: Rows
    tiles: Tiles
    remarks: dict[int, str]
    num_read: int = 0
    num_bytes: int = 0
    num_left_out: int = 0
    is_same: bool = False
    cache: Cache | None = None


def _unheard(message: str) -> None:
    del message


def scan(  # noqa: PLR0913
    index: DataIndex,
    *,
    max_pixels: int,
    rechecks: bool = False,
    reads: bool = True,
    poll: Callable[[], None],
    advance: Callable[[int], None],
    threads: int | None = None,
    is_over: Callable[[], bool] | None = None,
    warn: Callable[[str], None] = _unheard,
) -> Scan:
    """Read all files of a data set that have changed since the last time.

    Args:
        index: The data set; its sample ids are the places of the results.
        max_pixels: Largest photo that is decoded.
        rechecks: Read all files again.
        reads: Read files at all; otherwise only what is known already is returned.
        poll: Called ten times a second; what it raises ends the scan, what was read is kept.
        advance: Told how many more files are done.
        threads: That read; as many as there are processors when None.
        is_over: Says when to read no more: what was read until then is spread over the data
            set. None: all is read. Called in other threads, too.
        warn: Told of files that do not come.
    """
    rows = row_file(len(index.names))
    identify(index.root, index.names, rows, poll)
    cache = Cache(index.root, max_pixels=max_pixels)
    known = None if rechecks else cache.load()
    places = sources = np.zeros(0, dtype=np.int64)
    if known is not None:
        places, sources = carried_over(known, index.names, rows)
        if len(places) == len(index.names) == len(known.names) or not reads:
            taken_over = _taken_over(index, rows, known, places, sources, cache, advance)
            if reads:
                hash_alike(index, rows, poll)
            return taken_over
    if not reads:
        empty = np.zeros((0, TILE_SIDE, TILE_SIDE), dtype=np.uint8)
        return Scan(rows, empty, {})
    tiles, tiles_name = _tile_file(cache, len(index.names))
    found = Known(index.names, rows, tiles, {}, tiles_name)
    if known is not None:
        _carry_over(found, known, places, sources)
    advance(len(places))
    sweep = Sweep(index, found, cache, max_pixels, poll, advance, is_over, warn)
    sweep.run(_remaining(len(index.names), places), threads or available_threads())
    if known is not None and tiles_name and known.tiles_name != tiles_name:
        cache.forget_tiles(known.tiles_name)
    result = Scan(rows, tiles, found.remarks, sweep.num_read, sweep.num_bytes)
    result.cache = cache if tiles_name else None
    result.num_left_out = int(np.count_nonzero(rows["outcome"] == Outcome.UNKNOWN))
    return result


def available_threads() -> int:
    """Return how many processors this process may use, at most 32."""
    allowed = getattr(os, "sched_getaffinity", None)
    count = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    return max(1, min(MAX_THREADS, count))


def _tile_file(cache: Cache, count: int) -> tuple[Tiles, str]:
    try:
        return cache.new_tiles(count)
    except OSError:
        # Without a cache the audit is as good, and the next one reads all again.
        with tempfile.TemporaryFile(prefix="ecotui-audit-") as file:
            file.truncate(max(1, count) * TILE_SIDE * TILE_SIDE)
            shape = (max(1, count), TILE_SIDE, TILE_SIDE)
            mapped = np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
            return np.asarray(mapped)[:count], ""


def _taken_over(
    index: DataIndex,
    rows: Rows,
    known: Known,
    places: NDArray[np.int64],
    sources: NDArray[np.int64],
    cache: Cache,
    advance: Callable[[int], None],
) -> Scan:
    """Return what an earlier audit knew, where nothing is to be read now."""
    is_same = len(places) == len(index.names) == len(known.names)
    found = Known(index.names, rows, known.tiles if is_same else known.tiles[:0])
    if is_same:
        _carry_rows(found, known, places, sources)
    else:
        _carry_rows(found, known, places, sources)
        found.tiles = known.tiles[sources] if len(sources) == len(rows) else found.tiles
    advance(len(places))
    return Scan(rows, found.tiles, found.remarks, is_same=is_same, cache=cache)


def _carry_over(
    found: Known, known: Known, places: NDArray[np.int64], sources: NDArray[np.int64]
) -> None:
    _carry_rows(found, known, places, sources)
    for start in range(0, len(places), 4_096):
        part = slice(start, start + 4_096)
        found.tiles[places[part]] = known.tiles[sources[part]]


def _carry_rows(
    found: Known, known: Known, places: NDArray[np.int64], sources: NDArray[np.int64]
) -> None:
    links = found.rows["traits"][places] & np.uint8(Trait.OUTSIDE_LINK)
    found.rows[places] = known.rows[sources]
    # Where a link leads is looked at anew each time.
    traits = found.rows["traits"][places] & ~np.uint8(Trait.OUTSIDE_LINK)
    found.rows["traits"][places] = traits | links
    if known.remarks:
        moved = dict(zip(sources.tolist(), places.tolist(), strict=True))
        found.remarks |= {
            moved[source]: words for source, words in known.remarks.items() if source in moved
        }


def _remaining(count: int, done: NDArray[np.int64]) -> NDArray[np.int64]:
    is_left = np.ones(count, dtype=np.bool_)
    is_left[done] = False
    return np.flatnonzero(is_left)

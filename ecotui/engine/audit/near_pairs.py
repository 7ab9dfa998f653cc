"""Photos that are nearly the same: re-encoded, resized, slightly cropped. Not by comparing all.

Candidates are photos that agree in most bits of a difference hash, found through tables of
slices of it; that of a whole photo is compared with those of several crops of the other, so
that a crop is found, too. Source of the hash: N. Krawetz, "Kind of Like That" (dHash); of the
tables: Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.looks import spans
from ecotui.engine.audit.records import TILE_SIDE, Tiles

HASH_SIDE = 8
MAX_DISTANCE = 8
"""Bits of 64 in which candidates may differ; a second look at the pictures decides."""

MAX_BUCKET = 48
"""Photos with the same slice of a hash are compared with so many neighbours at most."""

PAIRS_A_PHOTO = 20
"""So many pairs a photo are looked at a second time, on average; those that agree most."""

_TILES_AT_ONCE = 8_192
_PAIRS_AT_ONCE = 2_000_000

Boxes = NDArray[np.float64]
"""Left, top, right and bottom of a part of a photo, as fractions of its sides, `[..., 4]`."""


class Pairs(NamedTuple):
    """Pairs of photos, each array `[P]`.

    Attributes:
        cropped: Of which a part is taken.
        wholes: That it is compared with.
        distances: Bits in which their hashes differ.
        boxes: Number of the part, in `crops()`.
    """

    cropped: NDArray[np.int64]
    wholes: NDArray[np.int64]
    distances: NDArray[np.int64]
    boxes: NDArray[np.int64]


def crops() -> Boxes:
    """Return the whole photo and the slight crops of it that are tried, `[V, 4]`."""
    whole = [(0.0, 0.0, 1.0, 1.0)]
    for cut in (0.04, 0.08):
        half = cut / 2
        whole.append((half, half, 1 - half, 1 - half))
        whole += [(x, y, x + 1 - cut, y + 1 - cut) for x in (0.0, cut) for y in (0.0, cut)]
        whole += [(cut, 0, 1, 1), (0, cut, 1, 1), (0, 0, 1 - cut, 1), (0, 0, 1, 1 - cut)]
        whole += [(half, 0, 1 - half, 1), (0, half, 1, 1 - half)]
    return np.array(whole)


def nearest(tiles: Tiles, poll: Callable[[], None]) -> Pairs:
    """Return each pair of photos that may be nearly the same once, with the crop that fits best.

    Args:
        tiles: Small pictures, `[N, TILE_SIDE, TILE_SIDE]`.
        poll: Called between steps; what it raises ends the search.
    """
    kept = Pairs(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
    waiting: list[Pairs] = []
    for found in candidates(tiles, poll):
        waiting.append(found)
        if sum(len(each.cropped) for each in waiting) > _PAIRS_AT_ONCE:
            kept, waiting = _best_of_each([kept, *waiting], len(tiles)), []
    return _most_alike(_best_of_each([kept, *waiting], len(tiles)), PAIRS_A_PHOTO * len(tiles))


def _most_alike(pairs: Pairs, count: int) -> Pairs:
    if len(pairs.cropped) <= count:
        return pairs
    order = np.argsort(pairs.distances, kind="stable")[:count]
    return Pairs(*(values[order] for values in pairs))


def _best_of_each(found: list[Pairs], count: int) -> Pairs:
    joined = Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    low = np.minimum(joined.cropped, joined.wholes)
    high = np.maximum(joined.cropped, joined.wholes)
    order = np.lexsort((joined.boxes, joined.distances, low * count + high))
    keys = (low * count + high)[order]
    is_first = np.ones(len(keys), dtype=np.bool_)
    is_first[1:] = keys[1:] != keys[:-1]
    return Pairs(*(values[order[is_first]] for values in joined))


def hashes(tiles: Tiles, box: Boxes) -> NDArray[np.uint64]:
    """Return the difference hash of a part of each photo, `[N]`.

    Args:
        tiles: Small pictures, `[N, TILE_SIDE, TILE_SIDE]`.
        box: Which part, `[4]`.
    """
    left, top, right, bottom = box * TILE_SIDE
    rows = spans(TILE_SIDE, np.linspace(top, bottom, HASH_SIDE + 1))
    columns = spans(TILE_SIDE, np.linspace(left, right, HASH_SIDE + 2))
    found = np.empty(len(tiles), dtype=np.uint64)
    for start in range(0, len(tiles), _TILES_AT_ONCE):
        part = rows @ tiles[start : start + _TILES_AT_ONCE].astype(np.float32) @ columns.T
        bits = (part[:, :, 1:] > part[:, :, :-1]).reshape(len(part), -1)
        found[start : start + _TILES_AT_ONCE] = np.packbits(bits, axis=1).view("<u8")[:, 0]
    return found


def candidates(tiles: Tiles, poll: Callable[[], None]) -> Iterator[Pairs]:
    """Yield pairs of photos that may be nearly the same; a pair may come several times.

    Args:
        tiles: Small pictures, `[N, TILE_SIDE, TILE_SIDE]`.
        poll: Called between steps; what it raises ends the search.
    """
    if len(tiles) < 2:
        return
    boxes = crops()
    wholes = hashes(tiles, boxes[0])
    slices = _slices(len(tiles))
    tables = []
    for shift, width in slices:
        keys = _slice_of(wholes, shift, width)
        # Equal slices are sorted by the whole hash: the most alike are neighbours.
        order = np.lexsort((wholes, keys))
        tables.append((order, keys[order]))
    for number, box in enumerate(boxes):
        queries = wholes if number == 0 else hashes(tiles, box)
        for (shift, width), (order, keys) in zip(slices, tables, strict=True):
            poll()
            wanted = _slice_of(queries, shift, width)
            yield from _matches(queries, wholes, wanted, order, keys, number)


def _slices(count: int) -> list[tuple[int, int]]:
    """Return where slices of a hash lie: as wide as leaves a few photos in each bucket."""
    width = int(np.clip(np.ceil(np.log2(max(2, count))) - 1, 8, 16))
    number = max(4, 64 // width)
    starts = np.linspace(0, 64 - width, number).round().astype(int)
    return [(int(start), width) for start in starts]


def _slice_of(values: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.uint32]:
    mask = np.uint64((1 << width) - 1)
    return ((values >> np.uint64(shift)) & mask).astype(np.uint32)


def _matches(
    queries: NDArray[np.uint64],
    wholes: NDArray[np.uint64],
    wanted: NDArray[np.uint32],
    order: NDArray[np.int64],
    keys: NDArray[np.uint32],
    number: int,
) -> Iterator[Pairs]:
    first = np.searchsorted(keys, wanted, side="left")
    counts = np.searchsorted(keys, wanted, side="right") - first
    if int(counts.max(initial=0)) > MAX_BUCKET:
        # In a crowded bucket only those whose whole hash lies nearest in order are looked at.
        place = first + _rank(queries, wholes, order, first, counts)
        lower = np.clip(place - MAX_BUCKET // 2, first, first + np.maximum(counts - MAX_BUCKET, 0))
        first, counts = lower, np.minimum(counts, MAX_BUCKET)
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(queries):
        passed = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, passed + _PAIRS_AT_ONCE, side="right")))
        part = counts[begin:stop]
        asking = np.repeat(np.arange(begin, stop), part)
        within = np.arange(len(asking)) - np.repeat(np.cumsum(part) - part, part)
        answering = order[np.repeat(first[begin:stop], part) + within]
        distance = np.bitwise_count(queries[asking] ^ wholes[answering])
        is_near = (distance <= MAX_DISTANCE) & (asking != answering)
        if number == 0:
            is_near &= asking < answering
        if is_near.any():
            near = distance[is_near].astype(np.int64)
            yield Pairs(asking[is_near], answering[is_near], near, np.full(len(near), number))
        begin = stop


def _rank(
    queries: NDArray[np.uint64],
    wholes: NDArray[np.uint64],
    order: NDArray[np.int64],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return where in its bucket each query would stand, by bisection of all at once."""
    low, high = np.zeros_like(counts), counts.copy()
    while bool((low < high).any()):
        middle = (low + high) // 2
        at = np.minimum(first + middle, len(order) - 1)
        is_less = (low < high) & (wholes[order[at]] < queries)
        low, high = np.where(is_less, middle + 1, low), np.where(is_less, high, middle)
        high = np.maximum(high, low)
    return low

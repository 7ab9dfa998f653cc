"""Findings about photos that are there more than once: across splits, across classes, within.

Of copies in several splits the one that is kept is in test, else in validation: what is
scored stays what it was, and the training loses what it must not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecotui.audit_categories import BY_NAME
from ecotui.engine.audit.alignment import agreement
from ecotui.engine.audit.confirmation import are_same
from ecotui.engine.audit.findings import Entry, Finding, splits_of
from ecotui.engine.audit.groups import Groups
from ecotui.engine.audit.look_findings import LOW_ENTROPY_BITS
from ecotui.engine.audit.near_pairs import crops, nearest
from ecotui.engine.audit.records import Rows, can_be_seen
from ecotui.engine.audit.scan import Scan
from ecotui.engine.data.index import DataIndex
from ecotui.envelope import SplitName
from ecotui.text import counted, percent

MIN_AGREEMENT = 0.985
"""Correlation of two small pictures laid over one another, from which they are compared closer."""

MAX_CONFIRMED, SURE_AGREEMENT = 4_000, 0.996
"""So many pairs are compared closer, the most alike first; of the others only the surest count."""

MAX_SHAPE_ERROR = 0.06
"""How far the shape of the fitted part may be from that of the other photo, as a logarithm."""

_KEPT_FIRST: dict[SplitName, int] = {"test": 0, "val": 1, "train": 2}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos that are the same, or nearly.

    Attributes:
        first: Sample id, the smaller one.
        second: Sample id.
        agreement: 1 for copies to the byte, else the correlation of the two pictures.
    """

    first: int
    second: int
    agreement: float


def exact_pairs(rows: Rows) -> list[Pair]:
    """Return copies to the byte: each with the first of its kind."""
    known = np.flatnonzero(rows["content"].any(axis=1) & (rows["size"] > 0))
    content = rows["content"][known]
    order = np.lexsort((known, content[:, 1], content[:, 0]))
    ids, keys = known[order], content[order]
    is_same = np.zeros(len(ids), dtype=np.bool_)
    is_same[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    starts = np.maximum.accumulate(np.where(is_same, 0, np.arange(len(ids))))
    places = np.flatnonzero(is_same)
    firsts, seconds = ids[starts[places]].tolist(), ids[places].tolist()
    return [Pair(first, second, 1.0) for first, second in zip(firsts, seconds, strict=True)]


def near_pairs(
    index: DataIndex, scan: Scan, copies: list[Pair], poll: Callable[[], None], *, max_pixels: int
) -> list[Pair]:
    """Return photos that are nearly the same, copies to the byte left aside."""
    rows = scan.rows
    is_searched = can_be_seen(rows) & (rows["entropy"] >= LOW_ENTROPY_BITS)
    is_searched[[pair.second for pair in copies]] = False
    ids = np.flatnonzero(is_searched)
    tiles = scan.tiles if len(ids) == len(rows) else scan.tiles[ids]
    pairs = nearest(tiles, poll)
    scores, fitted = np.zeros(len(pairs.cropped)), crops()[pairs.boxes]
    for start in range(0, len(scores), 2_048):
        poll()
        part = slice(start, start + 2_048)
        scores[part], fitted[part] = agreement(
            tiles, pairs.cropped[part], pairs.wholes[part], fitted[part]
        )
    one, other = ids[pairs.cropped], ids[pairs.wholes]
    is_alike = (scores >= MIN_AGREEMENT) & (
        np.abs(_shape_errors(rows, one, other, fitted)) <= MAX_SHAPE_ERROR
    )
    places = np.flatnonzero(is_alike)
    places = places[np.argsort(-scores[places], kind="stable")]
    found: list[Pair] = []
    groups, num_compared = Groups(), 0
    for place in places.tolist():
        poll()
        cropped, whole, score = int(one[place]), int(other[place]), float(scores[place])
        # Of a hundred shots in a row a hundred pairs are compared, not five thousand.
        if groups.are_joined(cropped, whole):
            continue
        if num_compared < MAX_CONFIRMED:
            num_compared += 1
            paths = index.path_of(cropped), index.path_of(whole)
            is_sure = are_same(*paths, fitted[place], max_pixels=max_pixels)
        else:
            is_sure = score >= SURE_AGREEMENT
        if is_sure:
            groups.join(cropped, whole)
            found.append(Pair(min(cropped, whole), max(cropped, whole), min(score, 0.9999)))
    return found


def _shape_errors(
    rows: Rows, one: NDArray[np.int64], other: NDArray[np.int64], boxes: NDArray[np.float64]
) -> NDArray[np.float64]:
    def shape(ids: NDArray[np.int64]) -> NDArray[np.float64]:
        shapes: NDArray[np.float64] = rows["width"][ids] / np.maximum(rows["height"][ids], 1)
        return shapes

    part = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    errors: NDArray[np.float64] = np.log(shape(one) * part / shape(other))
    return errors


def duplicate_findings(
    index: DataIndex, copies: list[Pair], alike: list[Pair]
) -> Iterator[Finding]:
    """Yield copies and near copies: those across splits, across classes, and the others."""
    splits = splits_of(index)
    for kind, pairs in (("exact", copies), ("near", alike)):
        groups = _groups(pairs)
        across_splits, across_classes, within = [], [], []
        for group in groups:
            is_across = len({splits[each] for each in group}) > 1
            is_conflict = len({int(index.labels[each]) for each in group}) > 1
            across_splits += [group] if is_across else []
            across_classes += [group] if is_conflict else []
            within += [] if is_across or is_conflict else [group]
        scores = _scores(pairs)
        yield from _told(f"{kind}_duplicates_across_splits", across_splits, index, splits, scores)
        yield from _told(f"{kind}_duplicates_across_classes", across_classes, index, splits, scores)
        yield from _told(f"{kind}_duplicates", within, index, splits, scores)


def _groups(pairs: list[Pair]) -> list[list[int]]:
    """Return photos that hang together, each group ascending."""
    groups = Groups()
    for pair in pairs:
        groups.join(pair.first, pair.second)
    return groups.members()


def _scores(pairs: list[Pair]) -> dict[tuple[int, int], float]:
    return {(pair.first, pair.second): pair.agreement for pair in pairs}


def _told(
    category: str,
    groups: list[list[int]],
    index: DataIndex,
    splits: list[SplitName],
    scores: dict[tuple[int, int], float],
) -> Iterator[Finding]:
    if not groups:
        return
    is_conflict = category.endswith("across_classes")
    entries: list[Entry] = []
    for group in groups:
        ranked = sorted(group, key=lambda each: (_KEPT_FIRST[splits[each]], each))
        for place, each in enumerate(ranked):
            other = _partner(each, ranked, index, splits, category, scores)
            detail = _detail(each, other, index, splits, scores)
            entries.append(Entry(each, detail, other, is_conflict or place > 0))
    num_files = len(entries)
    what = f"{counted(num_files, 'photo')} in {counted(len(groups), 'group')}: "
    yield Finding(
        category,
        # What would be left out comes first: each example then shows a pair of its own.
        sorted(entries, key=lambda each: not each.is_left_out),
        what + BY_NAME[category].title,
        num_files,
        extra={"groups": len(groups)},
    )


def _partner(
    each: int,
    group: list[int],
    index: DataIndex,
    splits: list[SplitName],
    category: str,
    scores: dict[tuple[int, int], float],
) -> int:
    """Return the photo that one is to be shown beside: one that makes it a finding, if possible."""
    others = [other for other in group if other != each]

    def fitness(other: int) -> tuple[bool, float]:
        if category.endswith("across_splits"):
            clashes = splits[other] != splits[each]
        elif category.endswith("across_classes"):
            clashes = index.labels[other] != index.labels[each]
        else:
            clashes = True
        return clashes, scores.get((min(each, other), max(each, other)), 0.0)

    return max(others, key=fitness)


def _detail(
    each: int,
    other: int,
    index: DataIndex,
    splits: list[SplitName],
    scores: dict[tuple[int, int], float],
) -> str:
    score = scores.get((min(each, other), max(each, other)))
    agreement_words = "" if score is None or score >= 1.0 else f"agreement {percent(score, 1)}, "
    places = [f"{splits[one]}" for one in (each, other)]
    return f"{agreement_words}{places[0]} and {places[1]}"

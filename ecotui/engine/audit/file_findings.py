"""Findings about single files: what cannot be read, and what is odd about the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ecotui.audit_categories import BY_NAME
from ecotui.engine.audit.findings import Entry, Finding
from ecotui.engine.audit.records import FORMATS, Outcome, Rows, Trait, can_be_seen
from ecotui.engine.audit.scan import Scan
from ecotui.text import counted

MIN_SIDE = 32
"""Pixels; below, most photos have less than a fiftieth of the pixels that models take."""

MIN_ASPECT = 0.35
"""Short side over long side. Source: cleanvision, odd_aspect_ratio."""

_OUTCOMES = {
    "empty": Outcome.EMPTY,
    "truncated": Outcome.TRUNCATED,
    "unreadable": Outcome.UNREADABLE,
    "unsupported": Outcome.UNSUPPORTED,
    "not_permitted": Outcome.NOT_PERMITTED,
    "too_large": Outcome.TOO_LARGE,
    "suspect": Outcome.SUSPECT,
}
_TRAITS = {
    "wrong_extension": Trait.WRONG_EXTENSION,
    "unusual_mode": Trait.UNUSUAL_MODE,
    "rotated": Trait.ROTATED,
    "outside_links": Trait.OUTSIDE_LINK,
}


def file_findings(scan: Scan) -> Iterator[Finding]:
    """Yield what was found about single files, each category that has any."""
    rows = scan.rows
    for category, outcome in _OUTCOMES.items():
        ids = np.flatnonzero(rows["outcome"] == outcome)
        yield from _told(category, ids, lambda sample_id: scan.remarks.get(sample_id, ""))
    for category, trait in _TRAITS.items():
        ids = np.flatnonzero(rows["traits"] & np.uint8(trait))
        yield from _told(category, ids, _TRAIT_WORDS[category](scan))
    yield from _shapes(rows)


def outside_links(scan: Scan) -> Iterator[Finding]:
    """Yield the links that lead out of the data, which are known without reading anything."""
    ids = np.flatnonzero(scan.rows["traits"] & np.uint8(Trait.OUTSIDE_LINK))
    yield from _told("outside_links", ids, lambda sample_id: "")


def _shapes(rows: Rows) -> Iterator[Finding]:
    is_seen = can_be_seen(rows)
    width, height = rows["width"].astype(np.float64), rows["height"].astype(np.float64)
    short, long = np.minimum(width, height), np.maximum(width, height)

    def size(sample_id: int) -> str:
        return f"{int(width[sample_id]):,} x {int(height[sample_id]):,} pixels"

    tiny = np.flatnonzero(is_seen & (short < MIN_SIDE))
    yield from _told("tiny", tiny[np.argsort(short[tiny], kind="stable")], size)
    aspect = short / np.maximum(long, 1.0)
    odd = np.flatnonzero(is_seen & (aspect < MIN_ASPECT))
    yield from _told("extreme_shape", odd[np.argsort(aspect[odd], kind="stable")], size)


def _told(category: str, ids: NDArray[np.int64], detail: Callable[[int], str]) -> Iterator[Finding]:
    if not len(ids):
        return
    entries = [Entry(sample_id, detail(sample_id)) for sample_id in ids.tolist()]
    what = f"{counted(len(entries), 'photo')}: {BY_NAME[category].title}"
    yield Finding(category, entries, what, len(entries))


def _format_words(scan: Scan) -> Callable[[int], str]:
    return lambda sample_id: f"the content is {FORMATS[scan.rows['format'][sample_id]]}"


def _remark(scan: Scan) -> Callable[[int], str]:
    return lambda sample_id: scan.remarks.get(sample_id, "")


def _nothing(scan: Scan) -> Callable[[int], str]:
    del scan
    return lambda sample_id: ""


_TRAIT_WORDS = {
    "wrong_extension": _format_words,
    "unusual_mode": _remark,
    "rotated": _nothing,
    "outside_links": _nothing,
}

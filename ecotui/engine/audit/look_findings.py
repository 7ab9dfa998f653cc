"""Findings about how photos look, by thresholds that others have found useful.

Source of dark, light, blurred, low_information and odd_size: cleanvision 0.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ecotui.audit_categories import BY_NAME
from ecotui.engine.audit.findings import Entry, Finding
from ecotui.engine.audit.records import Rows, can_be_seen
from ecotui.text import counted, number

DARK = 0.32
"""Brightest hundredth of a dark photo, 0 to 1."""

LIGHT = 0.95
"""Darkest twentieth of an over-exposed photo, 0 to 1."""

BLURRED = -100.0 * math.log(1.0 - 0.29)
"""Standard deviation of edges: cleanvision's score 1 - exp(-edges / 100) below 0.29."""

BLURRED_SHARE = 1.0 / 3.0
"""A blurred photo has less than this share of the median of the set: where most photos show
little structure, as things before a plain wall do, that is how they are, no fault of a few."""

PLAIN_HISTOGRAM = -100.0 * math.log(1.0 - 0.18)
"""A grey histogram that spreads more is that of a plain photo, not of a blurred one."""

LOW_ENTROPY_BITS = 3.0 - math.log2(3.0)
"""cleanvision's 3 bits are of three colour channels together, which are log2(3) more."""

IQR_FACTOR = 3.0
"""Sizes further from the middle half than so many times its width are odd."""

EXPECTED_MEAN, EXPECTED_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training photos, R, G, B, 0 to 1: what most models' normalisation expects."""

MAX_MEAN_SHIFT, MAX_STD_RATIO = 1.0, 2.0
"""Standard deviations, and factor, beyond which colours are called far from the expected ones."""


def look_findings(rows: Rows) -> Iterator[Finding]:
    """Yield the dark, light, blurred, empty-looking and oddly sized photos."""
    is_seen = can_be_seen(rows)
    brightest, darkest = rows["bright_99"] / 255.0, rows["bright_5"] / 255.0
    edges, entropy = rows["edges"], rows["entropy"].astype(np.float64)
    usual = float(np.median(edges[is_seen])) if is_seen.any() else 0.0
    is_blurred = (edges < min(BLURRED, BLURRED_SHARE * usual)) & (
        rows["histogram_spread"] <= PLAIN_HISTOGRAM
    )
    # A side of less than 3 pixels has no edges to be judged by.
    is_judged = np.minimum(rows["width"], rows["height"]) >= 3
    yield from _told(
        "dark", is_seen & (brightest < DARK), brightest, lambda x: f"brightest {x:.0%} of white"
    )
    yield from _told(
        "light", is_seen & (darkest > LIGHT), -darkest, lambda x: f"darkest {-x:.0%} of white"
    )
    yield from _told(
        "blurred", is_seen & is_judged & is_blurred, edges, lambda x: f"sharpness {x:.1f}"
    )
    yield from _told(
        "low_information",
        is_seen & (entropy < LOW_ENTROPY_BITS),
        entropy,
        lambda x: f"{x:.2f} bits of information a pixel",
    )
    yield from _odd_sizes(rows, is_seen)


def _odd_sizes(rows: Rows, is_seen: NDArray[np.bool_]) -> Iterator[Finding]:
    side = np.sqrt(rows["width"].astype(np.float64) * rows["height"])
    if not is_seen.any():
        return
    low, high = np.percentile(side[is_seen], [25, 75])
    reach = IQR_FACTOR * (high - low)
    if reach == 0.0:  # All but a few are of one size: only a really different one is odd.
        reach = 0.5 * high
    is_odd = is_seen & ((side < low - reach) | (side > high + reach))
    distance = -np.abs(np.log(np.maximum(side, 1.0) / max(1.0, float(np.median(side[is_seen])))))
    yield from _told(
        "odd_size", is_odd, distance, lambda x: f"{math.exp(-x):.1f} times from the usual side"
    )


def normalisation(
    rows: Rows,
    mean: Sequence[float] = EXPECTED_MEAN,
    std: Sequence[float] = EXPECTED_STD,
) -> Iterator[Finding]:
    """Yield how the colours of the set compare with what the inputs are normalised by.

    Args:
        rows: Of all photos; those whose colours were looked at count.
        mean: Subtracted from R, G, B, 0 to 1.
        std: By which they are divided.
    """
    sampled = rows[(rows["is_coloured"] == 1) & can_be_seen(rows)]
    if not len(sampled):
        return
    found = sampled["colour_mean"].astype(np.float64).mean(axis=0)
    squares = sampled["colour_square"].astype(np.float64).mean(axis=0)
    spread = np.sqrt(np.maximum(squares - found**2, 0.0))
    shift = np.abs(found - np.array(mean)) / np.array(std)
    ratio = np.maximum(spread, 1e-6) / np.array(std)
    is_far = bool((shift > MAX_MEAN_SHIFT).any() or (np.abs(np.log(ratio)) > math.log(2.0)).any())
    what = (
        f"colours: mean {_three(found)}, standard deviation {_three(spread)}; the normalisation "
        f"expects {_three(mean)} and {_three(std)}"
    )
    yield Finding(
        "normalisation",
        (),
        what,
        len(sampled),
        "note" if is_far else "pass",
        {"mean": found.round(4).tolist(), "std": spread.round(4).tolist()},
    )


def _three(values: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(number(float(value), 3) for value in values)


def _told(
    category: str,
    is_concerned: NDArray[np.bool_],
    order: NDArray[np.float64],
    detail: Callable[[float], str],
) -> Iterator[Finding]:
    ids = np.flatnonzero(is_concerned)
    if not len(ids):
        return
    ids = ids[np.argsort(order[ids], kind="stable")]
    entries = [Entry(sample_id, detail(float(order[sample_id]))) for sample_id in ids.tolist()]
    what = f"{counted(len(entries), 'photo')}: {BY_NAME[category].title}"
    yield Finding(category, entries, what, len(entries))

"""The second look at two photos that may be nearly the same: laid over one another.

One is cropped a little until the two agree best; what counts is how well they agree then, and
whether that crop has the shape of the other photo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.near_pairs import Boxes
from ecotui.engine.audit.records import TILE_SIDE, Tiles

SIDE = 24
"""Pixels at which photos are compared."""

MIN_FIRST = 0.86
"""Correlation before the fit, below which two photos are not looked at any further."""

SURE_FIRST = 0.998
"""Correlation before the fit, above which there is nothing to be gained by fitting."""

MAX_CUT = 0.12
"""Share of a side that a slight crop may take from either end."""

STEPS = ((0.02, 0.96), (0.01, 0.975), (0.005, 0.98))
"""By how much edges are moved, and the correlation below which the fit is given up after it."""
_TURNS = 4
_AT_ONCE = 2_048

_MOVES = np.array(
    [[sign * (place == edge) for place in range(4)] for edge in range(4) for sign in (1, -1)]
    + [[1, 0, 1, 0], [-1, 0, -1, 0], [0, 1, 0, 1], [0, -1, 0, -1], [1, 1, -1, -1], [-1, -1, 1, 1]],
    dtype=np.float64,
)
"""How a box may move: an edge alone, as a whole, or shrinking and growing."""


def agreement(
    tiles: Tiles,
    cropped: NDArray[np.int64],
    wholes: NDArray[np.int64],
    boxes: Boxes,
) -> tuple[NDArray[np.float64], Boxes]:
    """Return how well photos agree, and with which part of the first, `[P]` and `[P, 4]`.

    Args:
        tiles: Small pictures, `[N, TILE_SIDE, TILE_SIDE]`.
        cropped: Photos of which a part is taken, `[P]`.
        wholes: Photos that they are compared with, `[P]`.
        boxes: Where to begin, `[P, 4]`.

    Returns:
        Correlation of the two pictures, -1 to 1, and the box of the best fit.
    """
    scores, fitted = np.empty(len(cropped)), boxes.copy()
    for start in range(0, len(cropped), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        scores[part], fitted[part] = _fit(
            tiles[cropped[part]].astype(np.float32),
            _normalised(_part(tiles[wholes[part]].astype(np.float32), _whole(boxes[part]))),
            boxes[part],
        )
    return scores, fitted


def _whole(boxes: Boxes) -> Boxes:
    return np.broadcast_to(np.array([0.0, 0.0, 1.0, 1.0]), boxes.shape)


def _fit(
    sources: NDArray[np.float32], targets: NDArray[np.float32], boxes: Boxes
) -> tuple[NDArray[np.float64], Boxes]:
    best = _correlation(sources, targets, boxes)
    fitted = boxes.copy()
    going = np.flatnonzero((best >= MIN_FIRST) & (best < SURE_FIRST))
    for step, wanted in STEPS:
        for _ in range(_TURNS):
            if not _best_move(sources, targets, fitted, best, going, step):
                break
        going = going[best[going] >= wanted]
    return best, fitted


def _best_move(
    sources: NDArray[np.float32],
    targets: NDArray[np.float32],
    fitted: Boxes,
    best: NDArray[np.float64],
    going: NDArray[np.int64],
    step: float,
) -> bool:
    """Move each box to the best place near it, in place; say whether any has moved."""
    start, moved = fitted[going].copy(), False
    for move in _MOVES:
        tried = _within(start + step * move)
        scores = _correlation(sources[going], targets[going], tried)
        is_better = scores > best[going] + 1e-5
        best[going[is_better]] = scores[is_better]
        fitted[going[is_better]] = tried[is_better]
        moved = moved or bool(is_better.any())
    return moved


def _within(boxes: Boxes) -> Boxes:
    low = np.clip(boxes[:, :2], 0.0, MAX_CUT)
    high = np.clip(boxes[:, 2:], 1.0 - MAX_CUT, 1.0)
    return np.concatenate([low, high], axis=1)


def _correlation(
    sources: NDArray[np.float32], targets: NDArray[np.float32], boxes: Boxes
) -> NDArray[np.float64]:
    parts = _normalised(_part(sources, boxes))
    scores: NDArray[np.float64] = (parts * targets).mean(axis=(1, 2)).astype(np.float64)
    return scores


def _part(pictures: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    rows = _spans(boxes[:, 1], boxes[:, 3])
    columns = _spans(boxes[:, 0], boxes[:, 2])
    parts: NDArray[Any] = np.matmul(np.matmul(rows, pictures), columns.transpose(0, 2, 1))
    return parts


def _spans(begin: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return matrices `[P, SIDE, TILE_SIDE]` that average between two places of each line."""
    steps = np.linspace(0.0, 1.0, SIDE + 1)
    edges = TILE_SIDE * (begin[:, None] + (end - begin)[:, None] * steps)
    pixels = np.arange(TILE_SIDE)
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    covered = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0.0, None)
    matrices: NDArray[np.float32] = (covered / covered.sum(axis=2, keepdims=True)).astype(
        np.float32
    )
    return matrices


def _normalised(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    normalised: NDArray[np.float32] = centred / np.maximum(spread, 1e-3)
    return normalised

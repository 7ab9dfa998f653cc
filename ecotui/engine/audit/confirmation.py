"""The last word on two photos that may be nearly the same: their files compared closer.

Small pictures of different white sheets of paper agree, too; their fine structure and their
colours do not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ecotui.engine.audit.looks import shrunk, spans
from ecotui.engine.audit.previews import small_picture
from ecotui.engine.data.decode import DecodeError

SIDE = 96
"""Pixels at which the fine structure is compared."""

MIN_DETAIL = 0.55
"""Correlation of what is left when a blurred copy is taken away."""

MAX_COLOUR_ERROR = 0.05
"""Mean difference of coarse colours, 0 to 1, brightness evened out."""

_SEARCH = (-0.006, 0.0, 0.006)
_BLUR = 7


def are_same(cropped: Path, whole: Path, box: NDArray[np.float64], *, max_pixels: int) -> bool:
    """Say whether colours and fine structure of two photos agree.

    Args:
        cropped: Photo of which a part is taken.
        whole: Photo that it is compared with.
        box: That part: left, top, right, bottom, as fractions.
        max_pixels: Largest photo that is decoded.
    """
    try:
        one = _pixels(small_picture(cropped, max_pixels=max_pixels))
        other = _pixels(small_picture(whole, max_pixels=max_pixels))
    except DecodeError:
        return False
    target = shrunk(other.transpose(2, 0, 1), SIDE, SIDE)
    best = max(
        (_detail(one, target, box + np.array([x, y, x, y])) for x in _SEARCH for y in _SEARCH),
        key=lambda each: each[0],
    )
    score, part = best
    return score >= MIN_DETAIL and _colour_error(part, target) <= MAX_COLOUR_ERROR


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def _detail(
    pixels: NDArray[np.uint8], target: NDArray[np.float32], box: NDArray[np.float64]
) -> tuple[float, NDArray[np.float32]]:
    height, width, _ = pixels.shape
    left, top, right, bottom = np.clip(box, 0.0, 1.0)
    rows = spans(height, np.linspace(top * height, bottom * height, SIDE + 1))
    columns = spans(width, np.linspace(left * width, right * width, SIDE + 1))
    part = rows @ pixels.transpose(2, 0, 1).astype(np.float32) @ columns.T
    one, other = _fine(part.mean(axis=0)), _fine(target.mean(axis=0))
    spread = float(np.sqrt((one * one).mean() * (other * other).mean()))
    return float((one * other).mean()) / max(spread, 1e-3), part


def _fine(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture less a blurred copy of itself."""
    blurred = grey
    for axis in (0, 1):
        moved = [np.roll(blurred, by, axis) for by in range(-(_BLUR // 2), _BLUR // 2 + 1)]
        blurred = np.mean(moved, axis=0)
    edge = _BLUR // 2
    fine: NDArray[np.float32] = (grey - blurred)[edge:-edge, edge:-edge]
    return fine


def _colour_error(part: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    coarse = [
        each.reshape(3, 12, SIDE // 12, 12, SIDE // 12).mean(axis=(2, 4)) / 255.0
        for each in (part, target)
    ]
    one, other = (each - each.mean() for each in coarse)
    return float(np.abs(one - other).mean())

"""How a photo looks, in figures, from a picture of at most 64 pixels.

Measured on many photos at once: of single ones NumPy's own overhead costs more than the
arithmetic. Definitions of brightness, entropy and edges after cleanvision 0.3, whose
thresholds are applied to them in `look_findings`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.records import ROW, TILE_SIDE, Rows, Tiles

LONG_SIDE = 64
"""Pixels that edges are looked at in. Source: cleanvision, MAX_RESOLUTION_FOR_BLURRY_DETECTION."""

Greys = NDArray[np.uint8]
"""A grey picture, `[height, width]`."""


def measure(greys: Sequence[Greys]) -> tuple[Rows, Tiles]:
    """Return rows with the looks of pictures filled in, and their tiles, in order.

    Args:
        greys: Pictures of any size; small ones cost least.
    """
    rows = np.zeros(len(greys), dtype=ROW)
    tiles = np.zeros((len(greys), TILE_SIDE, TILE_SIDE), dtype=np.uint8)
    for shape, places in by_shape(greys).items():
        joined = b"".join([greys[place].data for place in places])
        stack = np.frombuffer(joined, dtype=np.uint8).reshape(len(places), *shape)
        _measure_alike(stack, places, rows, tiles)
    return rows, tiles


def _measure_alike(stack: NDArray[np.uint8], places: list[int], rows: Rows, tiles: Tiles) -> None:
    _, height, width = stack.shape
    scale = LONG_SIDE / max(height, width)
    if scale < 1.0:
        smaller = (max(1, round(height * scale)), max(1, round(width * scale)))
        stack = _to_bytes(shrunk(stack, *smaller))
    tiles[places] = _to_bytes(shrunk(stack, TILE_SIDE, TILE_SIDE))
    histograms = _histograms(stack)
    cumulated = np.cumsum(histograms, axis=1)
    total = cumulated[:, -1:]
    rows["bright_99"][places] = (cumulated < 0.99 * total).sum(axis=1)
    rows["bright_5"][places] = (cumulated < 0.05 * total).sum(axis=1)
    shares = histograms / total
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0.0)
    rows["entropy"][places] = -(shares * logs).sum(axis=1)
    rows["histogram_spread"][places] = histograms.std(axis=1)
    rows["edges"][places] = _edges(stack)


def colour_figures(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the means of R, G and B and those of their squares, 0 to 1, `[N, 2, 3]`.

    Args:
        pictures: `[H, W, 3]` each.
    """
    figures = np.zeros((len(pictures), 2, 3), dtype=np.float32)
    for place, picture in enumerate(pictures):
        values = picture.reshape(-1, 3).astype(np.float32) / np.float32(255.0)
        # By a product: NumPy sums along every third number at a quarter of the speed.
        mean = np.full(len(values), 1.0 / max(1, len(values)), dtype=np.float32)
        figures[place, 0] = mean @ values
        figures[place, 1] = mean @ (values * values)
    return figures


def by_shape(pictures: Sequence[NDArray[np.uint8]]) -> dict[tuple[int, ...], list[int]]:
    """Return the places of pictures by their shape."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        groups[picture.shape].append(place)
    return groups


def shrunk(stack: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Return pictures of another size, each new pixel the mean of the area it stands for.

    Args:
        stack: `[B, H, W]`.
        height: Of the results, pixels; larger than H repeats rows.
        width: Of the results, pixels.
    """
    _, old_height, old_width = stack.shape
    rows = averaging(old_height, height)
    columns = averaging(old_width, width)
    smaller: NDArray[np.float32] = rows @ stack.astype(np.float32) @ columns.T
    return smaller


@lru_cache(maxsize=512)
def averaging(old: int, new: int) -> NDArray[np.float32]:
    """Return the matrix `[new, old]` that averages a line of pixels over equal spans."""
    return spans(old, np.linspace(0.0, old, new + 1))


def spans(old: int, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the matrix that averages a line of pixels between neighbouring edges.

    Args:
        old: Length of the line, pixels.
        edges: Where spans begin and end, ascending, 0 to `old`, `[new + 1]`.
    """
    begin, end = edges[:-1, None], edges[1:, None]
    pixels = np.arange(old)[None, :]
    covered = np.clip(np.minimum(end, pixels + 1) - np.maximum(begin, pixels), 0.0, None)
    matrix: NDArray[np.float32] = (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    # Means of bytes: what rounding errors add is below a half.
    return np.rint(values, out=values).astype(np.uint8)


def _histograms(stack: NDArray[np.uint8]) -> NDArray[np.float64]:
    # One at a time: a picture and its counts stay in the processor's cache.
    found = [np.bincount(picture.ravel(), minlength=256) for picture in stack]
    return np.array(found, dtype=np.float64)


def _edges(stack: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the standard deviation of each picture's edges: 8 times a pixel less its neighbours.

    Source: Pillow's FIND_EDGES, which clips to 0 to 255.
    """
    if min(stack.shape[1:]) < 3:
        return np.zeros(len(stack))
    greys = stack.astype(np.int16)
    lines = greys[:, :-2] + greys[:, 1:-1]
    lines += greys[:, 2:]
    edges = 9 * greys[:, 1:-1, 1:-1]
    for left in range(3):
        edges -= lines[:, :, left : left + edges.shape[2]]
    np.clip(edges, 0, 255, out=edges)
    flat = edges.reshape(len(stack), -1).astype(np.float32)
    mean = flat.mean(axis=1)
    squares = np.einsum("bi,bi->b", flat, flat) / flat.shape[1]
    spread: NDArray[np.float64] = np.sqrt(np.maximum(squares - mean * mean, 0.0))
    return spread

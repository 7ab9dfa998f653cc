"""What a series of measurements is heading for, told from noise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

NUM_BLOCKS = 6
"""A series is cut into so many; by chance alone, one in 720 orders of them rises all along."""
STEADY_FRACTION = 0.25
"""Of the mean gain from block to block, the least that each must bring: what levels off, as a
cache does that fills up, is no trend."""
MIN_POINTS = 60

Points = Sequence[tuple[float, float]]
"""Pairs of seconds and value, in order of time."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A rise that goes on from block to block.

    Attributes:
        per_second: How fast, by the median of all slopes between two blocks.
        gain: From the first block's median to the last one's.
        last: The last block's median.
    """

    per_second: float
    gain: float
    last: float


def rising(points: Points, *, least_seconds: float) -> Trend | None:
    """Return the trend of a series that rises steadily from each sixth of it to the next.

    Medians of blocks pass over spikes and saw-teeth such as a checkpoint that comes and
    one that goes. Source: the median of pairwise slopes is Theil's and Sen's estimator.

    Args:
        points: Of the series.
        least_seconds: A shorter one has no trend.
    """
    if len(points) < MIN_POINTS or points[-1][0] - points[0][0] < least_seconds:
        return None
    size = len(points) / NUM_BLOCKS
    blocks = [points[round(i * size) : round((i + 1) * size)] for i in range(NUM_BLOCKS)]
    middles = [(median(t for t, _ in block), median(v for _, v in block)) for block in blocks]
    gains = [later[1] - earlier[1] for earlier, later in itertools.pairwise(middles)]
    if min(gains) <= 0 or min(gains) < STEADY_FRACTION * sum(gains) / len(gains):
        return None
    pairs = itertools.combinations(middles, 2)
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs]
    return Trend(median(slopes), middles[-1][1] - middles[0][1], middles[-1][1])

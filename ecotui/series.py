"""A figure over a run in bounded room."""

from __future__ import annotations

from typing import NamedTuple

MAX_SERIES_POINTS = 512


class Series(NamedTuple):
    """A figure over the run, in at most 512 points however long the run is.

    When the room is used up, every second point goes and from then on only
    every second one comes in, so the points stay evenly spread.

    Attributes:
        points: Pairs of step and value, in the order they came.
        stride: One of so many measurements is kept; a power of two.
        num_seen: Measurements seen.
    """

    points: tuple[tuple[int, float], ...] = ()
    stride: int = 1
    num_seen: int = 0

    def added(self, step: int, value: float | None) -> Series:
        """Return the series with one more measurement; one that is None is left out."""
        if value is None:
            return self
        num_seen = self.num_seen + 1
        if self.num_seen % self.stride:
            return Series(self.points, self.stride, num_seen)
        points = (*self.points, (step, value))
        if len(points) <= MAX_SERIES_POINTS:
            return Series(points, self.stride, num_seen)
        return Series(points[::2], self.stride * 2, num_seen)

    def truncated(self, step: int) -> Series:
        """Return the series without what was measured after a step."""
        points = tuple(point for point in self.points if point[0] <= step)
        return self if len(points) == len(self.points) else Series(points, self.stride, 0)

"""Memory and time as functions of the number of images, fitted to what was measured.

Pure. Memory is affine in the images of a forward pass: weights, gradients and optimizer
state are there whatever their number, activations come with each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_FITTED = 3
"""Of the largest sizes measured: at small ones other kernels with other workspaces run."""

ENOUGH_FRACTION = 0.95
"""A size, or a number of workers, that reaches so much of the best speed is as good: what
measuring a few steps cannot tell apart, and the smaller one leaves more memory."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a training step of one size took.

    Attributes:
        size: Images a forward pass.
        peak_bytes: Most memory that was held; None where it cannot be told.
        pass_seconds: Of a forward and backward pass, the median.
        update_seconds: Of clipping and the optimizer, the median.
        spread_fraction: Half the range of the timed steps, of their median; None where one was
            timed, or none.
    """

    size: int
    peak_bytes: int | None
    pass_seconds: float
    update_seconds: float
    spread_fraction: float | None = None

    @property
    def images_per_second(self) -> float:
        """Where a pass is a whole step."""
        return self.size / max(self.pass_seconds + self.update_seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Line:
    """A figure that grows evenly with the number of images.

    Attributes:
        start: At none.
        slope: For each image; never below zero.
    """

    start: float
    slope: float

    def at(self, size: int) -> float:
        """Return the figure at a size."""
        return self.start + self.slope * size

    def largest(self, limit: float) -> int | None:
        """Return the largest size whose figure is within a limit; None where all are."""
        if self.slope <= 0.0:
            return None if self.start <= limit else 0
        return max(0, int((limit - self.start) / self.slope))


def fit(points: Sequence[tuple[int, float]]) -> Line | None:
    """Return the line of least squares through the largest sizes; None below two sizes."""
    chosen = sorted(dict(points).items())[-MAX_FITTED:]
    if len(chosen) < 2:
        return None
    sizes, figures = (np.asarray(column, dtype=np.float64) for column in zip(*chosen, strict=True))
    centred = sizes - sizes.mean()
    slope = max(0.0, float((centred * figures).sum() / (centred**2).sum()))
    return Line(float(figures.mean()) - slope * float(sizes.mean()), slope)


def memory_line(trials: Sequence[Trial]) -> Line | None:
    """Return the memory of a step as a function of its size."""
    return fit([(each.size, each.peak_bytes) for each in trials if each.peak_bytes is not None])


def pass_line(trials: Sequence[Trial]) -> Line | None:
    """Return the seconds of a forward and backward pass as a function of its size."""
    return fit([(each.size, each.pass_seconds) for each in trials])


def fastest(trials: Sequence[Trial]) -> Trial:
    """Return the smallest size that is about as fast as any.

    Args:
        trials: At least one.
    """
    best = max(each.images_per_second for each in trials)
    fast = [each for each in trials if each.images_per_second >= ENOUGH_FRACTION * best]
    return min(fast, key=lambda each: each.size)

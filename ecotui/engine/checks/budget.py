"""The time that preflight may take, and who may still begin."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Seconds that run out.

    Args:
        seconds: In all.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._started = clock()

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._started

    @property
    def left(self) -> float:
        """Seconds to come, at least 0."""
        return max(0.0, self.seconds - self.spent)

    def share(self, fraction: float, at_most: float) -> float:
        """Return the seconds that one check may take: a share of what is left, and a limit."""
        return min(self.left * fraction, at_most)

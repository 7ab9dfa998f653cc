"""The time that measuring may take, and what was left out for lack of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Budget:
    """Counts down while things are measured.

    Args:
        seconds: Longest time that they may take, together.
        poll: Called between any two measurements; what it raises ends them.
        clock: Monotonic seconds.
    """

    seconds: float
    poll: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def spent_seconds(self) -> float:
        """Since the beginning."""
        return self.clock() - self._started

    @property
    def left_seconds(self) -> float:
        """What is left, never below zero."""
        return max(0.0, self.seconds - self.spent_seconds)

    def part(self, fraction: float) -> Budget:
        """Return a budget of its own out of what is left.

        Args:
            fraction: Of what is left, 0 to 1.
        """
        return Budget(self.left_seconds * fraction, self.poll, self.clock)

    def at_most(self, seconds: float) -> Budget:
        """Return a budget of its own: so many seconds, or what is left where that is less."""
        return Budget(min(seconds, self.left_seconds), self.poll, self.clock)

    def allows(self, seconds: float) -> bool:
        """Say whether something that takes so long still fits."""
        return seconds <= self.left_seconds

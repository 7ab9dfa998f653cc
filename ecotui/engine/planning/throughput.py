"""What the pace of a run is bound by, from the speed of computing and that of reading.

Pure. Rates are images a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ecotui.engine.planning.fitting import ENOUGH_FRACTION
from ecotui.plans import Bottleneck

WAITING_FRACTION = 0.10
"""More of a step spent waiting for photos, and the run is bound by the data."""

HEADROOM = 1.25
"""Reading that is faster than computing by less than that is in balance with it."""

WORTH_FACTOR = 1.10
"""Another number of workers is proposed where it makes the run so much faster."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Speeds of the two halves of training.

    Attributes:
        compute: Of computing alone, on a batch that is there.
        alone: Of reading by one process.
        measured: Of reading, by number of workers, where it was measured.
        shares_processors: Whether computing and reading use the same ones.
        num_processors: That this process may use.
        threads: Of the CPU's own computations.
    """

    compute: float
    alone: float
    measured: Mapping[int, float]
    shares_processors: bool
    num_processors: int
    threads: int

    def reading(self, workers: int) -> float:
        """Return the speed of reading alone; where it was not measured, workers add up."""
        if workers in self.measured:
            return self.measured[workers]
        return self.alone * max(1, min(workers, self.num_processors))

    def together(self, workers: int) -> float:
        """Return the speed of training.

        Without workers reading and computing take turns. With them the slower one counts,
        and where both use the same processors there are only so many seconds of those.
        """
        if workers == 0:
            return 1.0 / (1.0 / self.compute + 1.0 / self.alone)
        pace = min(self.compute, self.reading(workers))
        if self.shares_processors:
            busy = min(self.threads, self.num_processors) / self.compute + 1.0 / self.alone
            pace = min(pace, self.num_processors / busy)
        return pace

    def bottleneck(self, workers: int) -> Bottleneck:
        """Say what training is bound by."""
        pace = self.together(workers)
        if pace < (1.0 - WAITING_FRACTION) * self.compute:
            return "data"
        if workers and self.reading(workers) < HEADROOM * self.compute:
            return "balanced"
        return "compute"

    def best_workers(self, most: int) -> int:
        """Return the smallest number of workers that is about as fast as any.

        Args:
            most: Largest number to be considered.
        """
        paces = {workers: self.together(workers) for workers in range(most + 1)}
        enough = ENOUGH_FRACTION * max(paces.values())
        return min(workers for workers, pace in paces.items() if pace >= enough)

    def better_workers(self, workers: int, most: int) -> int | None:
        """Return a number of workers that is worth a change; None where there is none."""
        best = self.best_workers(most)
        is_worth_it = self.together(best) > WORTH_FACTOR * self.together(workers)
        return best if is_worth_it else None

"""When a run has to be saved so that it is saved in time: a wall-clock limit and what a save takes.

The time kept free is measured, not configured: twice the longest save so far, and a batch.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping

LEAST_SAVE_SECONDS = 5.0
"""Kept free for a save at least, also where none was measured yet."""
ASSUMED_BYTES_A_SECOND = 100e6
"""How fast a state is written until a save was measured: a slow network disk."""
SLURM_END_VARIABLE = "SLURM_JOB_END_TIME"


class Deadline:
    """The end of the time given to this attempt.

    Args:
        ends_at: Unix seconds; None for no end.
        wall_clock: Unix seconds now, read once.
        clock: Monotonic seconds, so that a changed system time changes nothing.
    """

    def __init__(
        self,
        ends_at: float | None = None,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._end = math.inf if ends_at is None else clock() + ends_at - wall_clock()
        self._save_seconds = LEAST_SAVE_SECONDS / 2
        self._is_measured = False
        self._batch_seconds = 0.0
        self._step, self._step_at = 0, clock()

    def expect_save(self, num_bytes: int) -> None:
        """Assume how long a save of so many bytes takes, until one is measured."""
        if not self._is_measured:
            assumed = num_bytes / ASSUMED_BYTES_A_SECOND
            self._save_seconds = max(LEAST_SAVE_SECONDS / 2, assumed)

    def note_save(self, seconds: float) -> None:
        """Remember how long a save took."""
        if not self._is_measured:
            self._is_measured, self._save_seconds = True, LEAST_SAVE_SECONDS / 2
        self._save_seconds = max(self._save_seconds, seconds)

    def note_step(self, step: int) -> None:
        """Remember how long the step took that ended now, if one did."""
        now = self._clock()
        if step == self._step + 1:
            self._batch_seconds = max(self._batch_seconds, now - self._step_at)
        self._step, self._step_at = step, now

    @property
    def margin_seconds(self) -> float:
        """Time before the end that is kept free: a batch, and a save twice over."""
        return 2 * self._save_seconds + self._batch_seconds

    def is_near(self) -> bool:
        """Say whether it is time to save and stop."""
        return self._clock() >= self._end - self.margin_seconds


def end_time(given: float | None, environment: Mapping[str, str] = os.environ) -> float | None:
    """Return when the time is over, unix seconds: as given, else as SLURM says, else never."""
    if given is not None:
        return given
    try:
        told = float(environment.get(SLURM_END_VARIABLE, ""))
    except ValueError:
        return None
    return told if math.isfinite(told) and told > 0 else None

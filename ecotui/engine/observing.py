"""What a run's own events tell of its pace: read as they pass, at no cost to a step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

from ecotui.engine.guards.pace import PaceReading
from ecotui.events import ConfigChanged, EpochFinished, EpochStarted, StepsTaken

MAX_EPOCHS = 64
"""Paces of so many epochs are kept for the median."""
LEAST_READINGS = 5
"""Of an epoch; fewer, two a second, tell more of its beginning than of its pace."""


class Pace:
    """How fast the epochs of this attempt were.

    The first reading of an epoch is left out, in which workers start; so is the first
    epoch, in which caches fill and kernels are chosen.

    Args:
        freeze_epochs: In which only the classifier is trained: what follows is slower.
    """

    def __init__(self, freeze_epochs: int) -> None:
        self._freeze_epochs = freeze_epochs
        self._past: deque[float] = deque(maxlen=MAX_EPOCHS)
        self._readings: list[float] = []
        self._is_first_epoch = self._skips_next = True

    def begin(self, event: EpochStarted) -> None:
        """Begin an epoch."""
        self._readings = []
        self._skips_next = True
        if event.epoch == self._freeze_epochs + 1:
            self.forget()

    def note(self, event: StepsTaken) -> None:
        """Take in a reading."""
        skips, self._skips_next = self._skips_next, False
        if not skips and event.images_per_second is not None:
            self._readings.append(event.images_per_second)

    def skip(self) -> None:
        """Leave the next reading out, which a pause is part of."""
        self._skips_next = True

    def change(self, event: ConfigChanged) -> None:
        """Forget the past where a setting changed that the pace depends on."""
        if event.key.startswith("compute.") or event.key.endswith("batch_size"):
            self.forget()

    def forget(self) -> None:
        """Begin anew, as in a first epoch."""
        self._past.clear()
        self._readings = []
        self._is_first_epoch = True

    def end(self, event: EpochFinished) -> PaceReading | None:
        """End an epoch; None where nothing can be told from it."""
        del event
        was_first, self._is_first_epoch = self._is_first_epoch, False
        if was_first or len(self._readings) < LEAST_READINGS:
            return None
        reading = PaceReading(median(self._readings), tuple(self._past))
        self._past.append(reading.images_per_second)
        return reading


class Waits:
    """How much of the last minutes of training went by waiting for photos.

    Args:
        window_seconds: Over which the share is taken.
        clock: Monotonic seconds.
    """

    def __init__(self, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._readings: deque[tuple[float, float]] = deque()
        self._seconds = 0.0
        self._last: float | None = None

    def skip(self) -> None:
        """Leave the next reading out: it is of an epoch's beginning, or a pause is part of it."""
        self._last = None

    def note(self, event: StepsTaken) -> tuple[float, float] | None:
        """Take in a reading; return the share and its seconds once the window is full."""
        now, before = self._clock(), self._last
        self._last = now
        if before is None or event.loader_wait_fraction is None:
            return None
        self._readings.append((now - before, event.loader_wait_fraction))
        self._seconds += now - before
        while self._seconds - self._readings[0][0] >= self._window_seconds:
            self._seconds -= self._readings.popleft()[0]
        if self._seconds < self._window_seconds:
            return None
        waited = sum(seconds * share for seconds, share in self._readings)
        return waited / self._seconds, self._seconds

"""How the engine states facts: a function that takes an event.

Production passes the writer of `events.jsonl`, tests pass `list.append`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ecotui.events import Event, StageAdvanced, StageFinished, StageStarted

Emit = Callable[[Event], None]

EVENT_INTERVAL_SECONDS = 0.5
"""Progress is stated at most this often."""

OLD_INTERVAL_SECONDS = 10.0
"""The same of an engine that has run for days, whose log would grow by as much every day for ever.
"""

INTERVALS_AN_AGE = 14_400
"""By which share of its age an engine's progress is stated: every half second for two hours, every
two seconds after eight, every ten after forty."""

INTERVALS_AN_EPOCH = 20
"""At least so often an epoch is told of, whatever the age: its pace is judged by what it tells."""


class Throttle:
    """Says yes at most once an interval.

    Args:
        interval_seconds: Shortest time between two yeses.
        clock: Monotonic seconds.
        old_interval_seconds: What the interval grows to with the throttle's age; None: it stays.
    """

    def __init__(
        self,
        interval_seconds: float = EVENT_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        old_interval_seconds: float | None = None,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._old_seconds = old_interval_seconds
        self._most_seconds = old_interval_seconds or interval_seconds
        self._clock = clock
        self._began = clock()
        self._last = float("-inf")

    def note_epoch(self, seconds: float) -> None:
        """Take in how long an epoch takes: the interval grows to a twentieth of it at most."""
        if self._old_seconds is not None:
            share = max(self._interval_seconds, seconds / INTERVALS_AN_EPOCH)
            self._most_seconds = min(self._old_seconds, share)

    def is_due(self) -> bool:
        """Say whether the interval has passed, and start the next one if so."""
        now = self._clock()
        aged = min((now - self._began) / INTERVALS_AN_AGE, self._most_seconds)
        if now - self._last < max(self._interval_seconds, aged):
            return False
        self._last = now
        return True


class Stage:
    """Progress within one stage."""

    def __init__(self, emit: Emit, name: str) -> None:
        self._emit = emit
        self._name = name
        self._throttle = Throttle()
        self.done = 0

    def advance(self, count: int = 1) -> None:
        """Count units done, stating it at most twice a second."""
        self.done += count
        if self._throttle.is_due():
            self._emit(StageAdvanced(stage=self._name, done=self.done))


@contextmanager
def span(emit: Emit, name: str, *, total: int, unit: str) -> Iterator[Stage]:
    """Run a block as a stage.

    Args:
        emit: Where the facts go.
        name: Of the stage.
        total: Units to come; 0 when unknown.
        unit: What is counted, in the plural.

    Emits:
        StageStarted, StageAdvanced, StageFinished. A block left by an exception
        has no StageFinished.
    """
    started = time.monotonic()
    emit(StageStarted(stage=name, total=total, unit=unit))
    stage = Stage(emit, name)
    yield stage
    emit(StageAdvanced(stage=name, done=stage.done))
    emit(StageFinished(stage=name, seconds=time.monotonic() - started))

"""What the time from asking for a run to its first step went into, told by the run's own events."""

from __future__ import annotations

import time
from collections.abc import Callable

from ecotui.engine.emit import Emit
from ecotui.events import (
    TERMINAL_KINDS,
    Event,
    FirstStepTaken,
    RunContinued,
    RunPaused,
    RunResumed,
    RunStarted,
    SetupAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    TimedPart,
)

SETUP = "setting up"
"""What is done between the parts that have names."""

_TRAIN = "train"


class Opening:
    """Passes events on, and states after the first step what came before it.

    Args:
        emit: Where the events go.
        asked_at: When the run was asked for, unix seconds; None where nobody told.
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        emit: Emit,
        asked_at: float | None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._parts: dict[str, float] = {}
        if asked_at is not None:
            self._parts["starting the engine"] = max(0.0, wall_clock() - asked_at)
        self._doing, self._since = SETUP, clock()
        self._before_pause = SETUP
        self._is_over = False

    def __call__(self, event: Event) -> None:
        """Pass an event on.

        Emits:
            FirstStepTaken, after the first StepsTaken.
        """
        self._emit(event)
        if self._is_over:
            return
        match event:
            case SetupAdvanced():
                self._begin(event.doing)
            case StageStarted():
                self._begin("the first batch" if event.stage == _TRAIN else event.stage)
            case StageFinished() | RunStarted():
                self._begin(SETUP)
            case RunResumed():
                self._doing = "restoring the state"
                self._begin(SETUP)
            case RunPaused():
                self._before_pause = self._doing
                self._begin("paused")
            case RunContinued():
                self._begin(self._before_pause)
            case StepsTaken():
                self._begin(SETUP)
                self._is_over = True
                parts = tuple(
                    TimedPart(name=name, seconds=seconds) for name, seconds in self._parts.items()
                )
                self._emit(FirstStepTaken(seconds=sum(self._parts.values()), parts=parts))
            case _ if event.kind in TERMINAL_KINDS:
                self._is_over = True

    def _begin(self, doing: str) -> None:
        now = self._clock()
        self._parts[self._doing] = self._parts.get(self._doing, 0.0) + now - self._since
        self._doing, self._since = doing, now

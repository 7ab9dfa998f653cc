"""A run that was stopped in its second epoch and goes on: what the engine says, event by event."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from ecotui.events import (
    AnyEvent,
    CheckReported,
    EngineStarted,
    RunResumed,
    RunStarted,
    RunStopped,
    SetupAdvanced,
    StageFinished,
    StageStarted,
)
from ecotui.state import RunState, fold


def later_attempt(
    events: list[AnyEvent], *, epochs_done: int = 1, attempt: int = 2
) -> list[AnyEvent]:
    """Return the preparation of a later attempt, as it begins after these events of the first.

    Args:
        events: Of the attempt before, its facts among them.
        epochs_done: That its checkpoint holds.
        attempt: Its number.
    """
    facts = next(each for each in reversed(events) if isinstance(each, RunStarted))
    step = epochs_done * facts.steps_per_epoch + 2

    def passed(name: str, layer: int) -> CheckReported:
        return CheckReported.model_validate(
            {"check": name, "layer": layer, "verdict": "pass", "what": "w", "expected": "",
             "remedy": ""}
        )  # fmt: skip

    return [
        RunStopped(reason="r", epoch=epochs_done, step=step, checkpoint="c"),
        EngineStarted(run_id="r", attempt=attempt, pid=1, host="h", version="v"),
        StageStarted(stage="diagnose", total=1, unit="checks"),
        passed("python", 1),
        StageFinished(stage="diagnose", seconds=1.0),
        SetupAdvanced(doing="loading PyTorch and timm"),
        facts.model_copy(),
        RunResumed(
            attempt=attempt, from_step=step, epoch=epochs_done, checkpoint="c", note="to the bit",
            exactness="E2",
        ),
        StageStarted(stage="preflight", total=2, unit="checks"),
        passed("transforms", 2),
        passed("first_batch", 3),
        StageFinished(stage="preflight", seconds=1.0),
        StageStarted(stage="train", total=1, unit="steps"),
    ]  # fmt: skip


def each_state(events: list[AnyEvent], is_of: Callable[[RunState], bool]) -> list[RunState]:
    """Return the state after each event, of those that are asked for."""
    states = [reduce(fold, events[:count], RunState()) for count in range(len(events) + 1)]
    return [state for state in states if is_of(state)]

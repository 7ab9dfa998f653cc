"""The wait for the first step is broken down, once an attempt, and its parts are all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ecotui.engine.opening import Opening
from ecotui.events import (
    Event,
    FirstStepTaken,
    Heartbeat,
    RunContinued,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    SetupAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
)


def bare(kind: type[Event]) -> Event:
    """Return an event of a kind whose fields do not matter here."""
    made: Any = kind
    event: Event = made.model_construct()
    return event


STEPPED = bare(StepsTaken)


def stage(name: str) -> StageStarted:
    return StageStarted(stage=name, total=1, unit="checks")


def told(
    timed: Sequence[tuple[float, Event]], *, asked_before: float | None = 0.5
) -> list[FirstStepTaken]:
    """Return what is stated of an attempt whose events come at these seconds."""
    now, events = 0.0, list[Event]()
    asked_at = None if asked_before is None else 1_000.0 - asked_before
    opening = Opening(events.append, asked_at, lambda: now, lambda: 1_000.0)
    for at, event in timed:
        now = at
        opening(event)
    kept = [event for event in events if not isinstance(event, FirstStepTaken)]
    assert kept == [event for _, event in timed]  # all are passed on
    return [event for event in events if isinstance(event, FirstStepTaken)]


BEFORE: list[tuple[float, Event]] = [
    (0.2, stage("diagnose")),
    (3.2, StageFinished(stage="diagnose", seconds=3.0)),
    (3.3, SetupAdvanced(doing="building model vit")),
    (4.0, bare(RunStarted)),
]
AFTER: list[tuple[float, Event]] = [
    (4.5, stage("preflight")),
    (4.6, Heartbeat(step=0, seconds_since_progress=0.0)),
    (10.5, StageFinished(stage="preflight", seconds=6.0)),
    (10.75, stage("train")),
    (12.0, STEPPED),
    (13.0, STEPPED),
]


def test_each_part_is_named_and_together_they_are_the_whole_wait() -> None:
    (event,) = told([*BEFORE, *AFTER])
    assert {part.name: pytest.approx(part.seconds) for part in event.parts} == {
        "starting the engine": 0.5,
        "setting up": 0.2 + 0.1 + 0.5 + 0.25,
        "diagnose": 3.0,
        "building model vit": 0.7,
        "preflight": 6.0,
        "the first batch": 1.25,
    }
    assert event.seconds == pytest.approx(12.5)


def test_what_is_resumed_tells_how_long_restoring_took() -> None:
    (event,) = told([*BEFORE, (4.9, bare(RunResumed)), *AFTER[3:]], asked_before=None)
    parts = {part.name: part.seconds for part in event.parts}
    assert parts["restoring the state"] == pytest.approx(0.9)
    assert "starting the engine" not in parts
    assert event.seconds == pytest.approx(12.0)


def test_a_pause_is_a_part_of_its_own() -> None:
    paused = [(11.0, bare(RunPaused)), (3_611.0, bare(RunContinued)), (3_612.0, STEPPED)]
    (event,) = told([*BEFORE, *AFTER[:4], *paused])
    parts = {part.name: part.seconds for part in event.parts}
    assert parts["paused"] == pytest.approx(3_600.0)
    assert parts["the first batch"] == pytest.approx(1.25)


def test_a_clock_that_was_set_back_takes_no_time_away() -> None:
    (event,) = told([*BEFORE, *AFTER], asked_before=-3_600.0)
    assert event.parts[0].seconds == 0.0


def test_an_attempt_that_ends_before_its_first_step_tells_nothing() -> None:
    assert told([*BEFORE, (5.0, bare(RunFailed)), (6.0, STEPPED)]) == []

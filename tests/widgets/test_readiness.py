"""Whether training can start, in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from ecotui.events import EngineLost, RunStarted
from ecotui.state import RunState, fold
from ecotui.stream import decode
from ecotui.widgets.check_stages import stages
from ecotui.widgets.readiness import readiness
from tests.resumed import each_state, later_attempt

Recorded = Callable[[str, str], RunState]


@pytest.fixture
def upto(recordings: Path) -> Recorded:
    """Return the state of a recording after the first event of a kind; at its end for none."""

    def read(name: str, kind: str) -> RunState:
        lines = (recordings / f"{name}.jsonl").read_bytes().splitlines()
        events = [event for event in map(decode, lines) if event is not None]
        kinds: list[str] = [event.kind for event in events]
        count = kinds.index(kind) + 1 if kind else len(events)
        return reduce(fold, events[:count], RunState())

    return read


@pytest.mark.parametrize(
    ("recording", "kind", "is_run", "words", "may_start"),
    [
        ("preflight_digits", "", False, "ready to train", True),
        ("preflight_photos", "", False, "5 warnings, none of which", True),
        ("preflight_photos", "run_started", False, "training can be started after", False),
        ("full_run", "run_started", True, "the run goes on by itself", False),
        ("full_run", "steps_taken", True, "the run trains", False),
        ("preflight_failed", "", False, "cannot train: the transforms make", False),
    ],
)
def test_it_is_said_whether_training_can_start_and_why_not(
    recording: str, kind: str, is_run: bool, words: str, may_start: bool, upto: Recorded
) -> None:
    told = readiness(upto(recording, kind), is_run=is_run)
    assert words in told.words
    assert told.may_start is may_start


def test_what_could_not_be_begun_and_what_went_away_is_told(upto: Recorded) -> None:
    assert "not checked: error: no room" in readiness(RunState(), "error: no room").words
    assert readiness(RunState()).words == "nothing has been checked yet"
    state = upto("preflight_photos", "run_started")
    lost = EngineLost(last_words=("Killed [/",), checkpoint=None)
    assert "the engine is gone: Killed [/" in readiness(fold(state, lost)).words


def test_stages_are_to_come_under_way_or_done(upto: Recorded) -> None:
    assert stages(upto("preflight_photos", "setup_advanced"))[0] == ("environment", "done", "")
    told = {name: progress for name, progress, _ in stages(upto("preflight_photos", ""))}
    assert told == dict.fromkeys(("environment", "data", "transforms and model", "plan"), "done")
    early = stages(upto("preflight_photos", "audit_finished"))
    assert [progress for _, progress, _ in early] == ["done", "done", "waiting", "waiting"]


def test_no_stage_of_a_later_attempt_is_done_before_an_earlier_one(recordings: Path) -> None:
    lines = (recordings / "full_run.jsonl").read_bytes().splitlines()
    stated = [event for event in map(decode, lines) if event is not None]
    checked = {"stages": ("preflight", "train", "validate")}
    events = [
        each.model_copy(update=checked) if isinstance(each, RunStarted) else each for each in stated
    ]
    kinds = [event.kind for event in events]
    begun = events[: kinds.index("epoch_finished") + 5]
    states = each_state(
        [*begun, *later_attempt(begun)], lambda state: state.attempt == 2 and bool(state.stages)
    )
    seen = set()
    for state in states:
        told = [progress for _, progress, _ in stages(state)]
        seen.add(tuple(told))
        unfinished = [place for place, each in enumerate(told) if each != "done"]
        assert "done" not in told[unfinished[0] if unfinished else len(told) :], told
        trains = state.stages[-1].name == "train"
        assert ("the run trains" in readiness(state, is_run=True).words) == trains
    assert ("under way", "waiting") in seen
    assert ("done", "under way") in seen

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui.events import (
    AnyEvent,
    BestCheckpointChanged,
    CheckpointSaved,
    ClassScore,
    EngineLost,
    EngineStarted,
    HealthAlerted,
    LogWritten,
    RepairStep,
    RunFinished,
    RunResumed,
    RunStopped,
    SampleSetAside,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    TimedPart,
    ValidationFinished,
    event_adapter,
)
from ecotui.healing import RunRolledBack
from ecotui.plans import AuditExample
from ecotui.run_state import replace as replaced
from ecotui.series import MAX_SERIES_POINTS, Series
from ecotui.state import _FOLDS, Ending, RunState, fold
from ecotui.stream import Tail

KINDS: tuple[type[Any], ...] = get_args(get_args(AnyEvent)[0])
WORDS = st.text("ab", max_size=3)
small = st.integers(0, 5)


def _value_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values for a field; few different ones, so that names and epochs meet."""
    known: dict[Any, st.SearchStrategy[Any]] = {
        int: small,
        str: WORDS,
        bool: st.booleans(),
        float: st.floats(0, 1),
        tuple[str, ...]: st.lists(WORDS, max_size=150).map(tuple),
        tuple[int, ...]: st.lists(small, max_size=150).map(tuple),
    }
    if annotation in known:
        return known[annotation]
    arguments = get_args(annotation)
    if type(None) in arguments:
        return st.none() | _value_of(next(each for each in arguments if each is not type(None)))
    if annotation == tuple[RepairStep, ...]:
        step = RepairStep(argv=("pip",), why="a", checks=("b",))
        return st.integers(0, 20).map(lambda count: (step,) * count)
    if annotation == tuple[TimedPart, ...]:
        part = TimedPart(name="a", seconds=0.5)
        return st.integers(0, 150).map(lambda count: (part,) * count)
    if annotation == tuple[AuditExample, ...]:
        example = AuditExample(path="a")
        return st.integers(0, 150).map(lambda count: (example,) * count)
    if annotation == tuple[ClassScore, ...]:
        score = ClassScore(name="a", precision=0.5, recall=0.5, f1=0.5, support=2)
        return st.integers(0, 150).map(lambda count: (score,) * count)
    return st.sampled_from(arguments)


def _events_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    known = {
        name: _value_of(field.annotation)
        for name, field in kind.model_fields.items()
        if name not in ("kind", "nonfinite")
    }
    return st.builds(kind, **known)


any_event = st.one_of(*(_events_of(kind) for kind in KINDS))
going_on = st.one_of(*(_events_of(kind) for kind in KINDS if kind not in get_args(Ending)))


def folded(events: Sequence[AnyEvent], start: RunState | None = None) -> RunState:
    return reduce(fold, events, start or RunState())


def read(path: Path) -> list[AnyEvent]:
    return [event for _, event in Tail(path).read()]


def sized(value: object) -> int:
    """Return the most that any tuple within a value holds."""
    if isinstance(value, tuple):
        return max([len(value), *(sized(each) for each in value)])
    if isinstance(value, Series):
        return len(value.points)
    if hasattr(value, "model_fields_set"):
        return max([0, *(sized(each) for _, each in value)])  # type: ignore[attr-defined]
    return 0


LIMITS = {
    "checks": 200,
    "alerts": 200,
    "set_aside": 200,
    "logs": 200,
    "checkpoints": 64,
    "stages": 8,
}


def assert_bounded(state: RunState) -> None:
    for field in fields(state):
        limit = LIMITS.get(field.name, 512 if "Series" in str(field.type) else 100)
        assert sized(getattr(state, field.name)) <= max(limit, 100), field.name
        if field.name in LIMITS:
            assert len(getattr(state, field.name)) <= limit


def test_every_kind_of_event_is_generated() -> None:
    assert {kind.model_fields["kind"].default for kind in KINDS} == set(_known_kinds())


def _known_kinds() -> list[str]:
    schema = event_adapter().json_schema()
    return list(schema["discriminator"]["mapping"])


@settings(max_examples=150, deadline=None)
@given(st.lists(any_event, max_size=30), st.data())
def test_folding_in_two_pieces_equals_folding_the_whole(
    events: list[AnyEvent], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events)))
    assert folded(events[cut:], folded(events[:cut])) == folded(events)


@settings(max_examples=60, deadline=None)
@given(st.lists(going_on, min_size=1, max_size=8), st.integers(1, 120))
def test_every_field_is_bounded(events: list[AnyEvent], times: int) -> None:
    assert_bounded(folded(events * times))


def test_every_list_that_overflows_is_cut_and_counted() -> None:
    alert = HealthAlerted(severity="note", code="c", message="m", advice="a")
    log = LogWritten(severity="note", message="m")
    aside = SampleSetAside(path="p", reason="r", split="train", step=1)
    saved = [
        CheckpointSaved(path=f"c{i}", epoch=1, step=i, num_bytes=1, seconds=0.1, reason="interval")
        for i in range(250)
    ]
    state = folded([*[alert] * 250, *[log] * 250, *[aside] * 250, *saved])
    assert_bounded(state)
    assert (len(state.alerts), state.num_alerts) == (200, 250)
    assert (len(state.logs), state.num_logs) == (200, 250)
    assert (len(state.set_aside), state.num_set_aside) == (200, 250)
    assert [each.path for each in state.checkpoints] == [f"c{i}" for i in range(186, 250)]
    assert state.last_checkpoint == "c249"


@settings(max_examples=60, deadline=None)
@given(st.lists(going_on, max_size=10), st.sampled_from(KINDS), st.data())
def test_nothing_changes_after_an_ending(
    events: list[AnyEvent], kind: type[Any], data: st.DataObject
) -> None:
    ended = folded([*events, EngineLost(last_words=(), checkpoint=None)])
    later = data.draw(_events_of(kind))
    if isinstance(later, EngineStarted):
        later = later.model_copy(update={"attempt": ended.attempt})
    assert fold(ended, later) is ended


def test_a_later_attempt_opens_an_ended_run_again_and_keeps_its_history(recordings: Path) -> None:
    ended = folded(read(recordings / "stopped.jsonl"))
    assert ended.phase == "stopped"
    again = EngineStarted(run_id="stopped", pid=1, host="h", version="v", attempt=2)
    state = fold(ended, again)
    assert (state.phase, state.ending, state.attempt) == ("setup", None, 2)
    assert state.train_loss == ended.train_loss
    assert state.best == ended.best


def test_a_rollback_voids_what_was_stated_of_later_steps(recordings: Path) -> None:
    events = read(recordings / "clean_run.jsonl")
    before = folded(events[:-1])
    assert before.step == 72
    back = RunRolledBack(
        from_step=72,
        to_step=30,
        epoch=1,
        source="memory",
        guard="loss_spike",
        what="the loss had left its range",
        num_skipped_batches=4,
        learning_rate_factor=0.5,
        num_rollbacks=2,
        rollbacks_left=1,
    )
    state = fold(before, back)
    assert (state.step, state.epoch) == (30, 1)
    assert state.upkeep.rollback == back
    assert state.alerts[-1] == back
    assert [step for step, _ in state.val_accuracy.points] == [24]
    for series in (state.train_loss, state.learning_rates, state.gradient_norms):
        assert series.points
        assert all(step <= 30 for step, _ in series.points)


def test_a_resumption_leaves_no_checkpoint_that_is_newer_than_its_own(recordings: Path) -> None:
    state = folded(read(recordings / "stopped.jsonl"))
    assert [saved.step for saved in state.checkpoints] == [24, 32]
    again = EngineStarted(run_id="r", pid=1, host="h", version="1", attempt=state.attempt + 1)
    resumed = RunResumed(attempt=2, from_step=24, epoch=1, checkpoint="c", note="as it was")
    state = fold(fold(state, again), resumed)
    assert [saved.step for saved in state.checkpoints] == [24]


def test_a_clean_run_is_understood(recordings: Path) -> None:
    state = folded(read(recordings / "clean_run.jsonl"))
    assert state.phase == "finished"
    assert isinstance(state.ending, RunFinished)
    assert (state.epoch, state.epochs, state.step) == (3, 3, 72)
    assert state.best is not None
    assert state.best_validation is not None
    assert state.validation is not None
    assert state.best.epoch == state.best_validation.epoch == 2
    assert state.validation.epoch == 3
    assert state.test is not None
    assert state.test.split == "test"
    assert [step for step, _ in state.val_accuracy.points] == [24, 48, 72]
    assert [saved.step for saved in state.checkpoints] == [48, 72]
    assert (state.num_alerts, state.num_set_aside) == (1, 1)
    assert state.steps_planned == 72


@pytest.mark.parametrize(
    ("name", "phase"),
    [("early_stopped", "finished"), ("stopped", "stopped"), ("failed", "failed")],
)
def test_endings_become_phases(recordings: Path, name: str, phase: str) -> None:
    assert folded(read(recordings / f"{name}.jsonl")).phase == phase


def test_unknown_lines_change_nothing(recordings: Path) -> None:
    tail = Tail(recordings / "from_the_future.jsonl")
    state = folded([event for _, event in tail.read()])
    assert tail.num_unknown == 2
    assert state == folded(read(recordings / "clean_run.jsonl"))


def test_stages_nest_and_close() -> None:
    opened = folded(
        [
            StageStarted(stage="train", total=9, unit="steps"),
            StageStarted(stage="validate", total=4, unit="images"),
            StageAdvanced(stage="validate", done=3),
        ]
    )
    assert opened.stage is not None
    assert (opened.stage.name, opened.stage.done) == ("validate", 3)
    closed = fold(opened, StageFinished(stage="validate", seconds=1))
    assert closed.stage is not None
    assert closed.stage.name == "train"
    assert fold(opened, StageFinished(stage="train", seconds=1)).stage is None
    assert fold(opened, StageFinished(stage="other", seconds=1)).stages == opened.stages


def test_the_time_left_follows_from_the_pace_of_the_attempt(recordings: Path) -> None:
    state = folded(read(recordings / "engine_lost.jsonl"))
    assert state.pace_start is not None
    a_step = (state.heard_at - state.pace_start[1]) / (state.step - state.pace_start[0])
    assert state.seconds_left == pytest.approx(a_step * (20 * 24 - state.step))
    assert RunState().seconds_left is None


def test_a_best_checkpoint_of_another_epoch_takes_no_validation_along() -> None:
    seen = ValidationFinished(
        split="val",
        epoch=1,
        step=1,
        num_images=1,
        loss=None,
        accuracy=0.5,
        accuracy_top5=1,
        macro_f1=0.5,
        per_class=(),
        num_classes=2,
        file="f",
        seconds=1,
    )
    best = BestCheckpointChanged(
        path="p", epoch=2, step=1, metric="loss", value=1, accuracy=0.5, macro_f1=0.5
    )
    state = folded([seen, best])
    assert state.best_validation is None
    assert state.val_loss.points == ()
    assert fold(state, seen.model_copy(update={"split": "train"})).val_accuracy.num_seen == 1


@given(st.integers(0, 6_000))
@settings(max_examples=25, deadline=None)
def test_a_series_keeps_evenly_spread_points(count: int) -> None:
    series = reduce(lambda so_far, step: so_far.added(step, step / 2), range(count), Series())
    assert series.num_seen == count
    steps = [step for step, _ in series.points]
    assert len(steps) <= MAX_SERIES_POINTS
    assert len(steps) >= min(count, MAX_SERIES_POINTS // 2 - 1)
    assert {after - before for before, after in pairwise(steps)} <= {series.stride}


def test_a_series_leaves_out_what_was_not_finite() -> None:
    series = Series().added(1, None).added(2, 0.5)
    assert series.points == ((2, 0.5),)


def test_a_stop_is_a_state_of_its_own(recorded: Callable[[str], Any]) -> None:
    state = folded(read(recorded("stopped").events))
    assert isinstance(state.ending, RunStopped)
    assert state.answer is not None
    assert state.answer.accepted


def test_steps_after_a_heartbeat_reset_the_stall() -> None:
    step = StepsTaken(
        epoch=1,
        step=1,
        step_in_epoch=1,
        num_steps=1,
        loss=float("nan"),
        accuracy=None,
        gradient_norm=None,
        learning_rate=0.1,
        images_per_second=None,
        loader_wait_fraction=None,
    )
    stalled = replace(RunState(), seconds_since_progress=99.0)
    state = fold(stalled, step)
    assert (state.seconds_since_progress, state.loss) == (0.0, None)


def test_every_kind_of_event_has_its_fold() -> None:
    assert set(_FOLDS) == set(KINDS)


def test_replacing_fields_of_a_state_is_what_the_standard_library_does() -> None:
    state = replaced(RunState(), step=3, doing="x")
    assert state == replace(RunState(), step=3, doing="x")
    assert replaced(state) == state
    assert RunState() == RunState(), "the first one was changed"

"""What success was meant to be: each item met, missed or open, with its figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.guards.epoch import FIRST_EPOCH, inspect_epoch
from ecotui.engine.guards.guard import EpochReading
from ecotui.events import (
    AnyEvent,
    BestCheckpointChanged,
    CheckReported,
    ConfigChanged,
    EngineLost,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    GuardTripped,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    StepsTaken,
    ValidationFinished,
    Verdict,
)
from ecotui.guard_settings import GuardConfig
from ecotui.healing import RunRolledBack
from ecotui.run_state import RunState
from ecotui.scorecard import Item, first_accuracy_limit, scorecard
from ecotui.scorecard_text import scorecard_lines
from ecotui.state import fold
from ecotui.stream import Tail
from tests.resumed import each_state, later_attempt

BEGUN = EngineStarted(run_id="r", pid=1, host="h", version="v")
FINISHED = RunFinished(
    why="epochs", epochs_done=2, epochs_planned=2, step=8, best_checkpoint=None, seconds=1.0
)
FAILED = RunFailed(what="w", expected="e", remedy="r", exit_code=1, checkpoint=None, discard=False)


def started(**changes: Any) -> RunStarted:
    known = {
        "stages": ("preflight", "train"),
        "model": "m",
        "num_parameters": 1,
        "image_size": 32,
        "class_names": (),
        "num_classes": 30,
        "num_train": 1,
        "num_val": 1,
        "num_test": 0,
        "epochs": 2,
        "steps_per_epoch": 4,
        "max_steps": None,
        "batch_size": 4,
        "micro_batch_size": 4,
        "device": "cpu",
        "precision": "fp32",
        "metric": "accuracy",
        "seed": 7,
    }
    return RunStarted.model_validate(known | changes)


def check(layer: Any, verdict: Verdict = "pass", what: str = "w") -> CheckReported:
    return CheckReported(check="c", layer=layer, verdict=verdict, what=what, expected="", remedy="")


def epoch(number: int) -> EpochStarted:
    return EpochStarted(epoch=number, epochs=2, steps=4, step=0)


def steps(loss: float | None = 2.0) -> StepsTaken:
    return StepsTaken(
        epoch=1,
        step=1,
        step_in_epoch=1,
        num_steps=1,
        loss=float("nan") if loss is None else loss,
        accuracy=None,
        gradient_norm=None,
        learning_rate=0.1,
        images_per_second=None,
        loader_wait_fraction=None,
    )


def epoch_done(number: int = 1, **changes: Any) -> EpochFinished:
    known = {
        "epoch": number,
        "step": 4 * number,
        "train_loss": 1.0,
        "train_accuracy": None,
        "seconds": 1.0,
        "images_per_second": None,
        "learning_rate": 0.1,
        "num_set_aside": 0,
        "lost_fraction": 0.0,
        "weights_digest": "d" * 64,
    }
    return EpochFinished.model_validate(known | changes)


def validated(accuracy: float, number: int = 1, loss: float | None = 1.0) -> ValidationFinished:
    return ValidationFinished(
        split="val",
        epoch=number,
        step=4 * number,
        num_images=9,
        loss=float("inf") if loss is None else loss,
        accuracy=accuracy,
        accuracy_top5=1.0,
        macro_f1=0.5,
        per_class=(),
        num_classes=30,
        file="f",
        seconds=1.0,
    )


def best(accuracy: float, number: int = 1) -> BestCheckpointChanged:
    return BestCheckpointChanged(
        path="p",
        epoch=number,
        step=4 * number,
        metric="accuracy",
        value=accuracy,
        accuracy=accuracy,
        macro_f1=0.5,
    )


def rolled_back(epochs_done: int) -> RunRolledBack:
    return RunRolledBack(
        from_step=5,
        to_step=2,
        epoch=epochs_done,
        source="memory",
        guard="g",
        what="w",
        num_skipped_batches=1,
        learning_rate_factor=1.0,
        num_rollbacks=1,
        rollbacks_left=2,
    )


WHOLE: tuple[AnyEvent, ...] = (
    BEGUN,
    check(1),
    started(target_accuracy=0.7),
    check(2),
    check(3, "warn"),
    epoch(1),
    steps(2.0),
    validated(0.2),
    best(0.2),
    epoch_done(),
    epoch(2),
    steps(1.0),
    validated(0.8, 2),
    best(0.8, 2),
    epoch_done(2),
)
"""A run in which all goes well, but for its end."""


def items(*events: AnyEvent) -> dict[str, Item]:
    return {item.name: item for item in scorecard(reduce(fold, events, RunState()))}


def statuses(*events: AnyEvent) -> dict[str, str]:
    return {name: item.status for name, item in items(*events).items()}


def test_everything_is_open_at_first() -> None:
    assert set(statuses().values()) == {"open"}
    assert len(statuses()) == 11


def test_a_run_that_goes_well_meets_everything() -> None:
    found = items(*WHOLE, FINISHED)
    assert {item.status for item in found.values()} == {"met"}
    figures = {name: found[name].figure for name in ("loss_falls", "few_lost", "first_accuracy")}
    assert figures == {
        "loss_falls": "2.0000 to 1.0000",
        "few_lost": "0.0%",
        "first_accuracy": "20.00%",
    }
    assert found["completes"].figure == "epoch 2 of 2"


@pytest.mark.parametrize(
    ("count", "newly_met"),
    [
        (5, set()),
        (6, {"transforms", "pre_training_check", "first_epoch_begins"}),
        (8, {"first_accuracy"}),
        (10, {"first_epoch_completes", "loss_falls", "few_lost"}),
        (14, {"best_accuracy"}),
    ],
)
def test_items_are_met_one_after_the_other(count: int, newly_met: set[str]) -> None:
    before, after = statuses(*WHOLE[: count - 1]), statuses(*WHOLE[:count])
    assert {name for name in after if after[name] != before[name]} == newly_met
    assert {after[name] for name in newly_met} <= {"met"}


class TestFirstMinutes:
    @pytest.mark.parametrize(("layer", "name"), [(2, "transforms"), (3, "pre_training_check")])
    def test_a_failed_check_is_missed_with_its_words(self, layer: int, name: str) -> None:
        found = items(BEGUN, started(), check(layer, "fail", "too large"), FAILED)
        assert (found[name].status, found[name].figure) == ("missed", "too large")
        assert found["first_epoch_begins"].status == "missed"

    def test_what_was_not_checked_is_open_and_says_why(self) -> None:
        found = items(BEGUN, started(stages=("train",)), epoch(1))
        assert found["transforms"].status == "open"
        assert "preflight is off" in found["transforms"].figure

    @pytest.mark.parametrize("epochs_done", [0, 1])
    def test_a_later_attempt_takes_nothing_back_that_was_met(self, epochs_done: int) -> None:
        begun = list(WHOLE[:11]) if epochs_done else list(WHOLE[:7])
        again = later_attempt(begun, epochs_done=epochs_done)
        before = {name for name, status in statuses(*begun).items() if status == "met"}
        assert {"transforms", "pre_training_check", "first_epoch_begins"} <= before
        for state in each_state([*begun, *again], lambda state: state.attempt == 2):
            now = {item.name: item for item in scorecard(state)}
            assert {name for name in before if now[name].status != "met"} == set(), state.doing
            assert now["completes"].figure == f"epoch {epochs_done + 1} of 2"

    def test_a_later_attempt_whose_checks_fail_says_so(self) -> None:
        again = later_attempt(list(WHOLE[:12]))[:9]
        found = items(*WHOLE[:12], *again, check(2, "fail", "too large"))
        assert (found["transforms"].status, found["transforms"].figure) == ("missed", "too large")


class TestFirstEpoch:
    @pytest.mark.parametrize(
        ("after", "status"), [(1.99, "met"), (2.0, "missed"), (None, "missed")]
    )
    def test_the_loss_is_held_against_the_first_steps(
        self, after: float | None, status: str
    ) -> None:
        events = (*WHOLE[:7], epoch_done(train_loss=after))
        assert statuses(*events)["loss_falls"] == status

    @pytest.mark.parametrize(
        ("lost", "status"), [(0.0499, "met"), (0.05, "missed"), (None, "open")]
    )
    def test_under_five_percent_may_be_lost(self, lost: float | None, status: str) -> None:
        assert statuses(*WHOLE[:7], epoch_done(lost_fraction=lost))["few_lost"] == status

    @pytest.mark.parametrize(
        ("accuracy", "classes", "status"),
        [
            (0.1001, 30, "met"),
            (0.10, 30, "missed"),
            (0.0301, 100, "met"),
            (0.03, 100, "missed"),
            (0.34, 3, "met"),
            (0.33, 3, "missed"),
        ],
    )
    def test_the_first_score_is_above_ten_percent_or_three_times_chance(
        self, accuracy: float, classes: int, status: str
    ) -> None:
        events = (BEGUN, started(num_classes=classes), epoch(1), validated(accuracy))
        assert statuses(*events)["first_accuracy"] == status

    @given(st.integers(2, 1_000), st.floats(0.0, 1.0))
    def test_the_guard_and_the_scorecard_hold_it_against_the_same(
        self, num_classes: int, accuracy: float
    ) -> None:
        reading = EpochReading(1, num_classes, 2.0, (1.0,), (1.0,), accuracy, 0.0)
        tripped = FIRST_EPOCH in {each.guard for each in inspect_epoch(reading, GuardConfig())}
        assert tripped == (accuracy <= first_accuracy_limit(num_classes))

    def test_a_later_epoch_changes_nothing(self) -> None:
        later = (validated(0.01, 2), epoch_done(2, train_loss=9.0, lost_fraction=0.5))
        found = statuses(*WHOLE[:11], *later)
        assert {found[name] for name in ("first_accuracy", "loss_falls", "few_lost")} == {"met"}

    def test_the_test_is_not_the_first_validation(self) -> None:
        tested = validated(0.01).model_copy(update={"split": "test"})
        assert statuses(*WHOLE[:11], tested)["first_accuracy"] == "met"

    @pytest.mark.parametrize(("epochs_done", "status"), [(0, "open"), (1, "met")])
    def test_going_back_before_its_end_opens_it_again(self, epochs_done: int, status: str) -> None:
        resumed = RunResumed(
            attempt=2, from_step=2, epoch=epochs_done, checkpoint="c", note="n", exactness="E2"
        )
        for back in (rolled_back(epochs_done), resumed):
            found = statuses(*WHOLE[:11], back)
            assert found["first_epoch_completes"] == status
            assert found["first_accuracy"] == status


class TestWholeRun:
    @pytest.mark.parametrize(
        ("ending", "status"),
        [
            (FINISHED, "met"),
            (FAILED, "missed"),
            (EngineLost(last_words=(), checkpoint=None), "missed"),
            (RunStopped(reason="r", epoch=1, step=1, checkpoint=None), "open"),
        ],
    )
    def test_how_it_ends_decides_whether_it_completes(self, ending: AnyEvent, status: str) -> None:
        assert statuses(*WHOLE, ending)["completes"] == status

    @pytest.mark.parametrize(
        ("accuracy", "status"), [(0.701, "met"), (0.70, "missed"), (0.2, "missed")]
    )
    def test_the_best_is_held_against_the_target(self, accuracy: float, status: str) -> None:
        events = (BEGUN, started(target_accuracy=0.7), epoch(1), best(accuracy), FINISHED)
        assert statuses(*events)["best_accuracy"] == status

    def test_without_a_target_it_stays_open(self) -> None:
        found = items(BEGUN, started(), epoch(1), best(0.9), FINISHED)["best_accuracy"]
        assert (found.status, found.figure) == ("open", "90.00%")
        assert "train.target_accuracy" in found.what

    def test_what_was_caught_was_not_let_through(self) -> None:
        trip = GuardTripped(
            layer=5,
            guard="nonfinite_loss",
            severity="critical",
            what="w",
            observed=None,
            limit=None,
            unit="",
            advice="a",
            action="skip_batch",
            step=1,
        )
        found = items(*WHOLE, trip, trip, FINISHED)["finite"]
        assert (found.status, found.figure) == ("met", "2 caught before the update")

    @pytest.mark.parametrize("event", [steps(None), validated(0.5, 2, None)])
    def test_a_value_that_was_let_through_is_missed_at_once(self, event: AnyEvent) -> None:
        assert statuses(*WHOLE, event)["finite"] == "missed"
        assert statuses(*WHOLE, event, FINISHED)["finite"] == "missed"

    def repeatable(self, *events: AnyEvent, **facts: Any) -> Item:
        whole = (*WHOLE[:2], started(**facts), *WHOLE[3:])
        return items(*whole, *events, FINISHED)["reproducible"]

    def test_seed_and_digest_tell_what_to_compare(self) -> None:
        found = self.repeatable()
        assert (found.status, found.figure) == ("met", "seed 7, weights dddddddddddd")

    def test_without_a_digest_nobody_can_tell(self) -> None:
        assert self.repeatable(epoch_done(2, weights_digest="")).status == "open"

    def test_algorithms_that_are_not_deterministic_miss_it(self) -> None:
        assert self.repeatable(deterministic=False).status == "missed"

    @pytest.mark.parametrize(
        ("exactness", "status"), [("E2", "met"), ("E1", "missed"), ("E0", "missed"), (None, "met")]
    )
    def test_a_resumption_that_is_not_exact_misses_it(self, exactness: Any, status: str) -> None:
        resumed = RunResumed(
            attempt=2, from_step=2, epoch=1, checkpoint="c", note="other", exactness=exactness
        )
        assert self.repeatable(resumed).status == status

    @pytest.mark.parametrize(
        ("key", "step", "status"),
        [
            ("train.learning_rate", 3, "missed"),
            ("train.learning_rate", 0, "met"),
            ("guards.silenced", 3, "met"),
            ("compute.workers", 3, "missed"),
        ],
    )
    def test_a_setting_changed_by_hand_misses_it(self, key: str, step: int, status: str) -> None:
        change = ConfigChanged(key=key, old="1", new="2", step=step, why="w")
        assert self.repeatable(change).status == status


def test_the_lines_count_what_is_met_and_show_nothing_raw() -> None:
    lines = scorecard_lines(
        [
            Item("a", "first_minutes", "met", "one"),
            Item("b", "whole_run", "missed", "two\x1b", "3%"),
        ]
    )
    assert lines == [
        "scorecard: 1 of 2 met",
        "  met    first minutes: one",
        "  MISSED whole run:     two\\e (3%)",
    ]


@pytest.mark.parametrize(
    ("name", "met", "missed"),
    [("full_run", 4, 0), ("preflight_failed", 0, 1), ("guard_stopped", 1, 1)],
)
def test_recorded_runs_have_their_score(
    recorded: Callable[[str], Any], name: str, met: int, missed: int
) -> None:
    events = [event for _, event in Tail(Path(recorded(name).events)).read()]
    found = list(statuses(*events).values())
    assert found.count("met") >= met
    assert found.count("missed") >= missed

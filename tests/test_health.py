"""Good signs, warning signs and critical ones, as the founding notebook's guide has them."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest

from ecotui.events import (
    AnyEvent,
    CheckpointSaved,
    EngineLost,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    RunPaused,
    SavingFailed,
    SavingRestored,
    Severity,
)
from ecotui.health import Sign, health, summed_up, worst
from ecotui.run_state import RunState
from ecotui.series import Series
from ecotui.state import fold
from tests.test_scorecard import FAILED, WHOLE, best, epoch, epoch_done, steps, validated

SAVED = CheckpointSaved(path="c", epoch=1, step=4, num_bytes=9, seconds=0.1, reason="epoch")
NOT_SAVING = SavingFailed(step=4, what="full", remedy="room", last_checkpoint=None, waits=True)


def trip(guard: str, severity: Severity = "warning", layer: Any = 1) -> GuardTripped:
    return GuardTripped(
        layer=layer,
        guard=guard,
        severity=severity,
        what=f"{guard} seen",
        observed=None,
        limit=None,
        unit="",
        advice="do",
        action="none",
        step=3,
    )


def signs(*events: AnyEvent) -> dict[str, Sign]:
    return of(reduce(fold, (*WHOLE, *events), RunState()))


def of(state: RunState) -> dict[str, Sign]:
    return {sign.name: sign for sign in health(state)}


def series(*values: float) -> Series:
    return Series(tuple(enumerate(values)), 1, len(values))


def test_before_it_trains_there_is_nothing_to_tell() -> None:
    assert health(RunState()) == ()
    assert worst(()) is None
    assert summed_up(()) == "nothing to tell yet"


def test_a_run_that_goes_well_shows_the_four_good_signs() -> None:
    found = signs(SAVED)
    assert set(found) == {
        "loss_falls",
        "accuracy_rises",
        "checkpoints_saved",
        "validation_improves",
    }
    assert {sign.level for sign in found.values()} == {"good"}
    assert found["loss_falls"].figure == "2.0000 to 1.0000"
    assert found["accuracy_rises"].figure == "20.00% to 80.00%"
    assert worst(health(reduce(fold, WHOLE, RunState()))) == "good"


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("loss_falls", [steps(9.0)] * 20),
        ("accuracy_rises", [validated(0.1, 3)]),
        ("validation_improves", [validated(0.1, 3)]),
        ("checkpoints_saved", []),
        ("checkpoints_saved", [SAVED, NOT_SAVING]),
    ],
)
def test_a_good_sign_that_is_not_there_is_not_shown(name: str, events: list[AnyEvent]) -> None:
    assert name not in signs(*events)


def test_what_stands_is_no_good_sign() -> None:
    flat = series(1.0, 1.0)
    assert of(replace(RunState(), train_loss=flat, val_accuracy=flat)) == {}


@pytest.mark.parametrize(
    ("lost", "level"),
    [(0.05, None), (0.051, "warning"), (0.20, "warning"), (0.201, "critical"), (None, None)],
)
def test_lost_samples_warn_above_5_percent_and_are_critical_above_20(
    lost: float | None, level: str | None
) -> None:
    sign = signs(epoch_done(2, lost_fraction=lost)).get("batch_samples")
    assert (sign and sign.level) == level


@pytest.mark.parametrize(
    ("count", "level"), [(0, None), (1, "warning"), (2, "warning"), (3, "critical")]
)
def test_values_that_are_not_finite_are_critical_when_they_are_frequent(
    count: int, level: str | None
) -> None:
    sign = signs(*[trip("nonfinite_gradient", layer=6)] * count).get("nonfinite")
    assert (sign and sign.level) == level
    if level == "critical":
        assert sign is not None
        assert sign.advice == "stop, and lower train.learning_rate"


def test_one_value_let_through_is_critical() -> None:
    assert signs(steps(None))["nonfinite"].level == "critical"


class TestPlateau:
    @pytest.mark.parametrize(
        ("values", "is_told"),
        [
            ([2.0] * 5 + [1.99] * 5, True),
            ([2.0] * 5 + [1.98] * 5, False),
            ([2.0] * 4 + [2.0] * 5, False),
            ([2.0] * 5 + [3.0] * 4 + [1.5], False),
        ],
    )
    def test_five_epochs_without_a_better_loss_are_one(
        self, values: list[float], is_told: bool
    ) -> None:
        state = replace(RunState(), val_loss=series(*values))
        assert ("loss_plateau" in of(state)) == is_told


class TestOverFitting:
    @pytest.mark.parametrize(
        ("val", "train", "is_told"),
        [
            ([1.0, 1.1, 1.2, 1.3], [2.0, 1.8, 1.6, 1.4], True),
            ([1.0, 1.1, 1.1, 1.3], [2.0, 1.8, 1.6, 1.4], False),
            ([1.0, 1.1, 1.2], [2.0, 1.8, 1.6], False),
            ([1.0, 1.1, 1.2, 1.3], [2.0, 2.0, 2.0, 2.0], False),
        ],
    )
    def test_it_is_validation_rising_while_training_falls(
        self, val: list[float], train: list[float], is_told: bool
    ) -> None:
        state = replace(RunState(), val_loss=series(*val), train_loss=series(*train))
        assert ("rising_validation_loss" in of(state)) == is_told


class TestCritical:
    def test_checkpoints_that_cannot_be_written(self) -> None:
        found = signs(SAVED, NOT_SAVING)["saving_failed"]
        assert (found.level, found.figure, found.advice) == ("critical", "full", "room")
        assert "saving_failed" not in signs(NOT_SAVING, SavingRestored(step=5))

    @pytest.mark.parametrize(("seconds", "is_told"), [(59.9, False), (60.0, True)])
    def test_no_progress(self, seconds: float, is_told: bool) -> None:
        beat = Heartbeat(step=4, seconds_since_progress=seconds)
        assert ("stall" in signs(beat)) == is_told
        assert "stall" not in signs(beat, RunPaused(step=4, why="w"))
        assert "stall" not in signs(beat, FAILED)

    def test_an_engine_that_is_gone_advises_less_memory(self) -> None:
        found = signs(EngineLost(last_words=(), checkpoint=None))["engine_lost"]
        assert found.level == "critical"
        assert "train.micro_batch_size=1" in found.advice

    def test_a_failure_tells_its_own_remedy(self) -> None:
        found = signs(FAILED)["run_failed"]
        assert (found.level, found.what, found.advice) == ("critical", "w", "r")


class TestGuards:
    def test_what_a_guard_found_is_a_sign_in_the_registers_words(self) -> None:
        found = signs(trip("gpu_fault", "critical"))["gpu_fault"]
        assert (found.level, found.what) == ("critical", "the GPU cannot be relied on")
        assert found.figure == "gpu_fault seen"
        assert found.page == "docs/alerts.md#gpu_fault"

    def test_an_unknown_name_speaks_for_itself(self) -> None:
        alert = HealthAlerted(severity="warning", code="new", message="m", advice="a")
        found = signs(alert)["new"]
        assert (found.what, found.figure, found.page) == ("m", "", "")

    def test_it_is_gone_when_it_is_over_and_back_when_it_comes_again(self) -> None:
        over = GuardRecovered(layer=1, guard="gpu_hot", what="w", step=4)
        assert "gpu_hot" not in signs(trip("gpu_hot"), over)
        assert "gpu_hot" in signs(trip("gpu_hot"), over, trip("gpu_hot"))

    @pytest.mark.parametrize("guard", ["early_stopping", "first_epoch", "falling_loss"])
    def test_what_judges_one_moment_is_the_scorecards(self, guard: str) -> None:
        assert guard not in signs(trip(guard, layer=7))

    def test_a_note_is_no_sign(self) -> None:
        assert "gpu_hot" not in signs(trip("gpu_hot", "note"))

    def test_the_newest_of_a_guard_is_told_and_at_most_ten(self) -> None:
        many = [trip(f"guard_{number}") for number in range(30)]
        found = [name for name in signs(*many) if name.startswith("guard_")]
        assert found == [f"guard_{number}" for number in range(29, 19, -1)]
        worse = signs(trip("gpu_fault"), trip("gpu_fault", "critical"))["gpu_fault"]
        assert worse.level == "critical"

    def test_the_graver_of_two_of_one_name_is_told(self) -> None:
        found = signs(trip("batch_samples", layer=4), epoch_done(2, lost_fraction=0.5))
        assert found["batch_samples"].level == "critical"


def test_the_gravest_come_first_and_are_counted() -> None:
    found = health(reduce(fold, (*WHOLE, SAVED, trip("gpu_hot"), NOT_SAVING), RunState()))
    levels = [sign.level for sign in found]
    assert levels == ["critical", "warning", "good", "good", "good"]
    assert summed_up(found) == "1 critical, 1 warning, 3 good: checkpoints cannot be written"


def test_a_run_of_any_kind_has_signs_of_which_each_has_words() -> None:
    state = reduce(fold, (*WHOLE, epoch(3), best(0.9)), RunState())
    assert all(
        sign.what and sign.level in ("good", "warning", "critical") for sign in health(state)
    )

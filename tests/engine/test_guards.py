"""The guards' judgements, as functions of what they are shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.guards import batch, epoch, gradient, loss
from ecotui.engine.guards.guard import EpochCounts, EpochReading, StepReading
from ecotui.guard_settings import GuardConfig

CONFIG = GuardConfig()


def counts(lost: int, total: int = 100, batches: int = 60, whole: bool = False) -> EpochCounts:
    return EpochCounts(batches, 0, total, lost, whole)


@pytest.mark.parametrize(
    ("lost", "severity", "action"),
    [
        (0, None, None),
        (5, None, None),
        (6, "warning", "none"),
        (20, "warning", "none"),
        (21, "critical", "stop"),
        (100, "critical", "stop"),
    ],
)
def test_five_percent_warns_and_twenty_stops(
    lost: int, severity: str | None, action: str | None
) -> None:
    verdict = batch.inspect_counts(counts(lost), CONFIG)
    assert (verdict and verdict.severity, verdict and verdict.action) == (severity, action)


def test_the_share_is_judged_after_fifty_batches_or_at_the_end_of_the_epoch() -> None:
    assert batch.inspect_counts(counts(90, batches=49), CONFIG) is None
    assert batch.inspect_counts(counts(90, batches=50), CONFIG) is not None
    assert batch.inspect_counts(counts(90, batches=3, whole=True), CONFIG) is not None


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_more_loss_is_never_judged_milder(one: int, other: int) -> None:
    order = {None: 0, "warning": 1, "critical": 2}
    low, high = sorted((one, other))
    verdicts = [batch.inspect_counts(counts(lost, 1000), CONFIG) for lost in (low, high)]
    levels = [order[verdict.severity if verdict else None] for verdict in verdicts]
    assert levels[0] <= levels[1]


def test_errors_are_skipped_until_ten_come_in_a_row() -> None:
    def action(count: int, *, memory: bool = False) -> str:
        verdict = batch.inspect_error("RuntimeError: x", count, CONFIG, is_out_of_memory=memory)
        return verdict.action

    assert [action(count) for count in (1, 9, 10)] == ["skip_batch", "skip_batch", "stop"]
    assert [action(count, memory=True) for count in (2, 3)] == ["skip_batch", "stop"]


def step(value: float, norm: float = 1.0, before: int = 0, scaled: bool = False) -> StepReading:
    return StepReading(value, norm, before, scaled)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_three_losses_that_are_not_finite_stop_the_run(bad: float) -> None:
    verdicts = [loss.inspect_step(step(bad, before=before), CONFIG) for before in range(3)]
    assert [verdict and verdict.action for verdict in verdicts] == [
        "skip_batch",
        "skip_batch",
        "stop",
    ]
    assert all(verdict and verdict.layer == 5 for verdict in verdicts)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_finite_step_passes(value: float) -> None:
    assert loss.inspect_step(step(value, abs(value)), CONFIG) is None
    assert gradient.inspect_step(step(value, abs(value)), CONFIG) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_layer_six(bad: float) -> None:
    verdict = gradient.inspect_step(step(1.0, bad, before=2), CONFIG)
    assert verdict is not None
    assert (verdict.layer, verdict.action) == (6, "stop")
    assert gradient.inspect_step(step(1.0, bad, scaled=True), CONFIG) is None


def reading(
    number: int = 1,
    train: tuple[float, ...] = (1.0,),
    val: tuple[float, ...] = (1.0,),
    accuracy: float = 0.9,
    first: float | None = 2.0,
    classes: int = 30,
) -> EpochReading:
    return EpochReading(number, classes, first, train, val, accuracy, 0.0)


def names(shown: EpochReading) -> list[str]:
    return [verdict.guard for verdict in epoch.inspect_epoch(shown, CONFIG)]


def test_a_good_first_epoch_has_no_finding() -> None:
    assert names(reading()) == []


@pytest.mark.parametrize(
    ("accuracy", "classes", "found"),
    [
        (0.09, 30, True),
        (0.11, 30, False),
        (0.025, 100, True),
        (0.031, 100, False),
        (0.5, 2, True),
        (0.55, 2, False),
    ],
)
def test_the_first_epoch_must_beat_ten_percent_or_three_times_chance(
    accuracy: float, classes: int, found: bool
) -> None:
    assert ("first_epoch" in names(reading(accuracy=accuracy, classes=classes))) is found


def test_a_training_loss_that_does_not_fall_is_told() -> None:
    assert names(reading(train=(2.5,), first=2.0)) == ["falling_loss"]
    assert names(reading(2, train=(1.0, 1.2))) == ["falling_loss"]
    assert names(reading(3, train=(1.0, 0.9, 1.2))) == []


def test_over_fitting_is_validation_loss_rising_while_training_loss_falls() -> None:
    falling, rising = (1.0, 0.9, 0.8, 0.7), (1.0, 1.1, 1.2, 1.3)
    assert names(reading(4, falling, rising)) == ["rising_validation_loss"]
    assert names(reading(4, falling, (1.0, 1.1, 1.05, 1.3))) == []
    assert names(reading(4, rising, rising)) == []
    assert names(reading(3, falling[:3], rising[:3])) == []


def test_a_validation_loss_that_is_not_finite_stops_the_run() -> None:
    verdicts = epoch.inspect_epoch(reading(val=(math.inf,)), CONFIG)
    assert verdicts[-1].action == "stop"
    assert verdicts[-1].layer == 7

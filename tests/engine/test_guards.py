"""The guards' judgements, as functions of what they are shown."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.config import TrainConfig
from ecotui.engine.guards import batch, epoch, gradient, learning, loss, spike
from ecotui.engine.guards.guard import EpochCounts, EpochReading, StepReading
from ecotui.engine.guards.known import silenced
from ecotui.guard_register import GUARD_NAMES, GUARD_REGISTER
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
    def action(count: int) -> str:
        return batch.inspect_error("RuntimeError: x", count, CONFIG).action

    assert [action(count) for count in (1, 9, 10)] == ["skip_batch", "skip_batch", "stop"]


def test_memory_that_runs_out_halves_the_images_at_once_down_to_the_smallest_number() -> None:
    def found(size: int, smallest: int) -> tuple[str, str]:
        verdict = batch.inspect_memory("a step", size, smallest)
        return verdict.action, verdict.severity

    assert found(8, 1) == found(2, 1) == found(3, 2) == ("shrink_micro_batch", "warning")
    assert found(1, 1) == found(2, 2) == ("stop", "critical")
    assert "going on with 2" in batch.inspect_memory("a step", 3, 2).what
    assert "going on with 4" in batch.inspect_memory("a step", 8, 1).what


def test_a_share_of_skipped_batches_is_judged_from_three_on() -> None:
    def judged(skipped: int, batches: int = 10) -> tuple[str, str] | None:
        shown = EpochCounts(batches, skipped, 10 * batches, 0, True)
        verdict = batch.inspect_counts(shown, CONFIG)
        return None if verdict is None else (verdict.guard, verdict.action)

    assert judged(2) is None
    assert judged(2, 2) == ("batch_skips", "stop")  # nothing is left of the epoch
    assert judged(3) == ("batch_skips", "stop")
    assert judged(3, 15) == ("batch_skips", "none")
    assert judged(3, 60) is None
    assert judged(12, 60) == ("batch_skips", "none")
    assert judged(13, 60) == ("batch_skips", "stop")


def test_the_worse_of_both_shares_is_told() -> None:
    verdict = batch.inspect_counts(EpochCounts(10, 3, 100, 10, True), CONFIG)
    assert verdict is not None
    assert (verdict.guard, verdict.action) == ("batch_skips", "stop")


def step(value: float, norm: float = 1.0, before: int = 0, scaled: bool = False) -> StepReading:
    return StepReading(value, norm, before, scaled)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_three_losses_that_are_not_finite_lead_back(bad: float) -> None:
    verdicts = [loss.inspect_step(step(bad, before=before), CONFIG) for before in range(3)]
    assert [verdict and verdict.action for verdict in verdicts] == [
        "skip_batch",
        "skip_batch",
        "rollback",
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
    assert (verdict.layer, verdict.action) == (6, "rollback")
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
    assert names(reading(train=(2.0,), first=2.0)) == ["falling_loss"]
    assert names(reading(2, train=(1.0, 1.2))) == ["falling_loss"]
    assert names(reading(3, train=(1.0, 0.9, 1.2))) == []


def test_over_fitting_is_validation_loss_rising_while_training_loss_falls() -> None:
    falling, rising = (1.0, 0.9, 0.8, 0.7), (1.0, 1.1, 1.2, 1.3)
    assert names(reading(4, falling, rising)) == ["rising_validation_loss"]
    assert names(reading(4, falling, (1.0, 1.1, 1.05, 1.3))) == []
    assert names(reading(4, falling, (1.0, 1.1, 1.1, 1.3))) == []
    assert names(reading(4, rising, rising)) == []
    assert names(reading(3, falling[:3], rising[:3])) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_leads_back(bad: float) -> None:
    verdict = epoch.inspect_validation(bad)
    assert verdict is not None
    assert (verdict.layer, verdict.action) == (7, "rollback")
    assert epoch.inspect_validation(3.0) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_found_beside_a_finite_loss(bad: float) -> None:
    verdict = loss.inspect_step(StepReading(1.0, 1.0, 0, False, best_scores=bad), CONFIG)
    assert verdict is not None
    assert verdict.action == "skip_batch"
    assert "scores" in verdict.what


def test_three_bad_steps_of_the_last_two_hundred_lead_back_too() -> None:
    def action(recently: int, **limits: float) -> str | None:
        config = GuardConfig.model_validate(limits)
        shown = StepReading(math.nan, 1.0, 0, False, num_bad_recently=recently)
        other = StepReading(1.0, math.nan, 0, False, num_bad_recently=recently)
        found = loss.inspect_step(shown, config), gradient.inspect_step(other, config)
        assert found[0] is not None
        assert found[1] is not None
        assert found[0].action == found[1].action
        return found[0].action

    assert [action(count) for count in (0, 1, 2)] == ["skip_batch", "skip_batch", "rollback"]
    assert action(3, max_nonfinite_fraction=0.02) == "skip_batch"
    assert action(4, max_nonfinite_fraction=0.02) == "rollback"


def test_a_broken_state_names_what_is_broken() -> None:
    assert epoch.inspect_state([]) is None
    verdict = epoch.inspect_state(["head.weight"])
    assert verdict is not None
    assert verdict.action == "rollback"
    assert "head.weight" in verdict.what


class TestSpikes:
    QUIET = tuple(1.0 + 0.01 * (number % 5) for number in range(100))

    def test_a_loss_must_stand_out_in_three_ways(self) -> None:
        assert spike.is_spike(2.1, self.QUIET, CONFIG)
        assert not spike.is_spike(2.0, self.QUIET, CONFIG)  # not above twice the median
        tiny = [value / 100 for value in self.QUIET]
        assert not spike.is_spike(0.05, tiny, CONFIG)  # no rise to speak of
        assert spike.is_spike(0.2, tiny, CONFIG)
        noisy = [1.0, 3.0] * 50
        assert not spike.is_spike(6.0, noisy, CONFIG)  # within what is usual
        assert spike.is_spike(9.0, noisy, CONFIG)

    def test_nothing_stands_out_from_a_few_losses(self) -> None:
        assert not spike.is_spike(50.0, self.QUIET[:49], CONFIG)
        assert spike.is_spike(50.0, self.QUIET[:50], CONFIG)

    def test_twenty_in_a_row_lead_back(self) -> None:
        assert spike.inspect_spike(3.0, self.QUIET, 19, CONFIG) is None
        verdict = spike.inspect_spike(3.0, self.QUIET, 20, CONFIG)
        assert verdict is not None
        assert (verdict.layer, verdict.action) == (5, "rollback")


class TestNorms:
    def test_twenty_norms_above_ten_medians_explode(self) -> None:
        def found(last: int, norm: float) -> str | None:
            verdict = gradient.inspect_norms([1.0] * 100 + [norm] * last, 1.0, 10, CONFIG)
            return None if verdict is None else verdict.guard

        assert found(20, 10.5) == "exploding_gradient"
        assert found(19, 10.5) is None
        assert found(20, 10.0) is None

    def test_fifty_norms_near_zero_vanish_where_the_loss_is_not_small(self) -> None:
        def found(last: int, norm: float, loss_now: float = 1.0) -> str | None:
            norms = [1.0] * 100 + [norm] * last
            verdict = gradient.inspect_norms(norms, loss_now, 10, CONFIG)
            return None if verdict is None else verdict.guard

        assert found(50, 1e-8) == "vanishing_gradient"
        assert found(49, 1e-8) is None
        assert found(50, CONFIG.vanishing_norm) is None
        assert found(50, 1e-8, loss_now=0.2) is None

    def test_nothing_is_said_of_a_few_norms(self) -> None:
        assert gradient.inspect_norms([1.0] * 49 + [50.0] * 20, 1.0, 10, CONFIG) is None
        assert gradient.inspect_norms([1.0] * 50 + [50.0] * 20, 1.0, 10, CONFIG) is not None

    @pytest.mark.parametrize(
        ("scale", "in_a_row", "is_found"),
        [(65536.0, 0, False), (128.0, 9, False), (127.0, 1, True), (65536.0, 10, True)],
    )
    def test_fp16_has_no_room_below_a_scale_or_after_ten_overflows(
        self, scale: float, in_a_row: int, is_found: bool
    ) -> None:
        verdict = gradient.inspect_scale(scale, in_a_row, CONFIG)
        assert (verdict is not None) is is_found
        if verdict is not None:
            assert "bf16" in verdict.advice


def learned(**changes: Any) -> list[str]:
    told = {
        "epoch": 6,
        "num_classes": 10,
        "first_loss": 2.5,
        "train_losses": (2.0, 1.6, 1.3, 1.1, 0.9, 0.8),
        "val_losses": (1.0,),
        "accuracy": 0.8,
        "lost_fraction": 0.0,
        "macro_f1": 0.8,
        "warmup_epochs": 1.0,
    }
    shown = EpochReading(**{**told, **changes})
    return [verdict.guard for verdict in learning.inspect_learning(shown, CONFIG)]


class TestLearning:
    def test_a_run_that_learns_has_no_finding(self) -> None:
        assert learned() == []

    def test_a_loss_of_guessing_is_told_after_the_warm_up(self) -> None:
        chance = math.log(10)
        flat = {"train_losses": (chance, chance * 1.009), "accuracy": 0.1}
        assert learned(epoch=3, **flat) == ["loss_at_chance"]
        assert learned(epoch=2, **flat) == []
        assert learned(epoch=3, train_losses=(2.4, chance * 1.011), accuracy=0.1) == []
        assert learned(epoch=3, train_losses=(2.4, chance), accuracy=0.2) == []

    def test_a_plateau_is_five_epochs_without_a_lower_loss(self) -> None:
        assert learned(train_losses=(1.0, *[0.995] * 5)) == ["loss_plateau"]
        assert learned(train_losses=(1.0, *[0.99] * 5)) == ["loss_plateau"]
        assert learned(train_losses=(1.0, *[0.98] * 5)) == []
        assert learned(train_losses=(1.0, *[0.995] * 4)) == []

    def test_classes_that_are_never_predicted_are_named(self) -> None:
        poor = {"macro_f1": 0.59, "unpredicted": ("glass",)}
        assert learned(**poor) == ["unpredicted_classes"]
        assert learned(**{**poor, "macro_f1": 0.61}) == []
        assert learned(**{**poor, "macro_f1": 0.75, "accuracy": 1.0}) == []
        assert learned(**{**poor, "unpredicted": ()}) == []
        assert learned(**poor, epoch=1) == []
        assert learned(**poor, epoch=1, warmup_epochs=0.0) == []
        assert learned(**poor, epoch=2, warmup_epochs=0.0) == ["unpredicted_classes"]
        told = EpochReading(6, 10, 2.5, (0.8,), (1.0,), 0.8, 0.0, 0.5, ("glass",), 1.0)
        (verdict,) = learning.inspect_learning(told, CONFIG)
        assert "glass" in verdict.what

    def test_a_loss_that_rises_after_the_warm_up_speaks_of_too_high_a_rate(self) -> None:
        assert learned(train_losses=(1.0, 0.9, 1.0)) == ["learning_rate_high"]
        assert learned(train_losses=(1.0, 0.9, 0.98)) == []
        assert learned(train_losses=(1.0, 0.9, 1.0), epoch=2) == []
        assert learned(train_losses=(2.0, 1.0, 1.0 * (1.0 + CONFIG.high_rate_rise))) == []

    def test_a_high_loss_that_creeps_down_speaks_of_too_low_a_rate(self) -> None:
        creeping = (2.0, 1.99, 1.98, 1.97)
        assert learned(train_losses=creeping) == ["learning_rate_low"]
        assert learned(train_losses=creeping, epoch=3) == []
        assert learned(train_losses=(2.0, 1.99, 1.98, 1.9)) == []
        assert learned(train_losses=(1.1, 1.095, 1.09, 1.085)) == []
        assert learned(train_losses=(2.0, 1.99, 1.995, 1.985)) == []

    def test_a_fall_at_the_limit_is_not_too_slow(self) -> None:
        def found(*losses: float) -> list[str]:
            shown = EpochReading(6, 10, 9.0, losses, (1.0,), 0.8, 0.0)
            config = GuardConfig(low_rate_fall=0.25)
            return [verdict.guard for verdict in learning.inspect_learning(shown, config)]

        assert found(8.0, 6.0, 4.5, 3.375) == []  # by a quarter each, exactly
        assert found(8.0, 6.25, 5.0, 4.0) == ["learning_rate_low"]


@pytest.mark.parametrize(
    ("verdict", "left"),
    [
        (epoch.inspect_state(["w"]), "rollback"),
        (batch.inspect_update("x"), "rollback"),
        (batch.inspect_memory("a step", 1, 1), "stop"),
        (batch.set_aside("x.png", "NaN"), "skip_sample"),
        (loss.inspect_step(step(math.nan, before=9), CONFIG), "skip_batch"),
        (batch.inspect_error("x", 10, CONFIG), "skip_batch"),
        (epoch.inspect_validation(math.nan), "none"),
        (batch.inspect_counts(counts(90, whole=True), CONFIG), "none"),
    ],
)
def test_silencing_leaves_what_is_needed(verdict: Any, left: str) -> None:
    assert silenced(verdict, [verdict.guard]).action == left
    assert silenced(verdict, []) == verdict


def test_every_guard_has_its_entry_in_the_register() -> None:
    modules = (batch, loss, spike, gradient, epoch, learning)
    named = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    assert named == set(GUARD_NAMES)
    fields = {f"guards.{name}" for name in GuardConfig.model_fields}
    fields |= {f"train.{name}" for name in TrainConfig.model_fields}
    for entry in GUARD_REGISTER.values():
        assert set(entry.limits) <= fields
        assert entry.title
        assert entry.remedies

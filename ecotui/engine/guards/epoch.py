"""Layer 7: an epoch as a whole, and its validation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ecotui.engine.guards.guard import EpochReading, Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import listed, number, percent

FIRST_EPOCH = "first_epoch"
FALLING_LOSS = "falling_loss"
RISING_VALIDATION_LOSS = "rising_validation_loss"
NONFINITE_VALIDATION = "nonfinite_validation_loss"
NONFINITE_STATE = "nonfinite_state"
EARLY_STOPPING = "early_stopping"


def inspect_epoch(reading: EpochReading, config: GuardConfig) -> list[Verdict]:
    """Judge an epoch with its validation."""
    found = (
        _first_accuracy(reading, config),
        _loss_fell(reading),
        _over_fitting(reading, config),
    )
    return [verdict for verdict in found if verdict is not None]


def early_stop(epochs_without_better: int, patience: int, metric: str, what: str) -> Verdict:
    """Say that nothing gets better, and `what` follows: a success, not a failure."""
    return Verdict(
        7,
        EARLY_STOPPING,
        "note",
        f"no better {metric} for {epochs_without_better} epochs: {what}",
        float(epochs_without_better),
        float(patience),
        "epochs",
        "the best checkpoint is kept",
        "none",
    )


def _first_accuracy(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    """Source: the founding notebook: accuracy over 10% after the first epoch of 30 classes.

    That is three times chance; with few classes three times chance would be out
    of reach, so the lower of the two bounds holds, and chance itself at least.
    """
    if reading.epoch != 1:
        return None
    chance = 1.0 / reading.num_classes
    limit = max(chance, min(config.first_epoch_accuracy, 3.0 * chance))
    if reading.accuracy > limit:
        return None
    return Verdict(
        7,
        FIRST_EPOCH,
        "warning",
        f"accuracy after the first epoch is {percent(reading.accuracy)}",
        reading.accuracy,
        limit,
        "accuracy",
        "normal while the learning rate still warms up; if the second epoch is no better, "
        "change train.learning_rate",
        "none",
    )


def _loss_fell(reading: EpochReading) -> Verdict | None:
    losses = reading.train_losses
    before = reading.first_loss if len(losses) < 2 else losses[-2]
    if reading.epoch > 2 or before is None or not losses or losses[-1] < before:
        return None
    return Verdict(
        7,
        FALLING_LOSS,
        "warning",
        f"the training loss did not fall in epoch {reading.epoch} "
        f"({number(before)} to {number(losses[-1])})",
        losses[-1],
        before,
        "nats",
        "change train.learning_rate: a loss that stands still wants a higher one, "
        "a loss that jumps a lower one",
        "none",
    )


def _over_fitting(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    """Validation loss rising for some epochs running while the training loss falls."""
    span = config.rising_epochs
    if len(reading.val_losses) <= span or len(reading.train_losses) <= span:
        return None
    val, train = reading.val_losses[-span - 1 :], reading.train_losses[-span - 1 :]
    is_rising = all(later > earlier for earlier, later in itertools.pairwise(val))
    if not is_rising or train[-1] >= train[0]:
        return None
    return Verdict(
        7,
        RISING_VALIDATION_LOSS,
        "warning",
        f"the validation loss has risen for {span} epochs while the training loss falls",
        val[-1],
        val[0],
        "nats",
        "the model over-fits: set train.early_stopping_epochs, or more augmentation",
        "none",
    )


def inspect_validation(loss: float) -> Verdict | None:
    """Judge the loss of a validation, nats."""
    if math.isfinite(loss):
        return None
    return Verdict(
        7,
        NONFINITE_VALIDATION,
        "critical",
        "the validation loss is not finite: the model is broken",
        None,
        None,
        "",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "rollback",
    )


def inspect_state(names: Sequence[str]) -> Verdict | None:
    """Judge the state: a number in it that is not finite spreads over all of it.

    Args:
        names: Of the weights, averages and moments that are not finite.
    """
    if not names:
        return None
    return Verdict(
        7,
        NONFINITE_STATE,
        "critical",
        f"not finite: {listed(names, limit=3)}",
        float(len(names)),
        0.0,
        "tensors that are not finite",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "rollback",
    )

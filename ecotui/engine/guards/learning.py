"""Layers 5 and 7: whether a run learns anything, and at the right rate; judged epoch by epoch."""

from __future__ import annotations

import itertools
import math

from ecotui.engine.guards.guard import EpochReading, Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import counted, listed, number, percent

PLATEAU = "loss_plateau"
AT_CHANCE = "loss_at_chance"
UNPREDICTED = "unpredicted_classes"
RATE_HIGH = "learning_rate_high"
RATE_LOW = "learning_rate_low"
LOW_RATE_EPOCHS = 3
MAX_NAMED_CLASSES = 8
_CHANCE_MARGIN = 1.5
"""Accuracy in chances below which a model may be guessing."""


def inspect_learning(reading: EpochReading, config: GuardConfig) -> list[Verdict]:
    """Judge an epoch for what it says of the training as a whole."""
    found = (
        _at_chance(reading, config),
        _plateau(reading, config),
        _unpredicted(reading, config),
        _rate_high(reading, config),
        _rate_low(reading, config),
    )
    return [verdict for verdict in found if verdict is not None]


def _warm_epochs(reading: EpochReading) -> int:
    """Return how many epochs were trained after the warm-up."""
    return reading.epoch - math.ceil(reading.warmup_epochs)


def _at_chance(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    """A loss of ln(K) is what equal scores for all classes give, with smoothing too."""
    if _warm_epochs(reading) < 2 or not reading.train_losses:
        return None
    chance, loss = math.log(reading.num_classes), reading.train_losses[-1]
    is_guessing = reading.accuracy <= _CHANCE_MARGIN / reading.num_classes
    if abs(loss - chance) > config.chance_fraction * chance or not is_guessing:
        return None
    return Verdict(
        5,
        AT_CHANCE,
        "warning",
        f"the training loss of {number(loss)} is what guessing among "
        f"{counted(reading.num_classes, 'class', 'classes')} gives",
        loss,
        chance,
        "nats",
        "change train.learning_rate by a factor of ten, first downwards, and check that the labels "
        "belong to the photos",
        "none",
    )


def _plateau(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    span, losses = config.plateau_epochs, reading.train_losses
    if len(losses) <= span:
        return None
    before, recent = min(losses[:-span]), min(losses[-span:])
    limit = before * (1.0 - config.plateau_fraction)
    if not math.isfinite(before) or recent < limit:
        return None
    return Verdict(
        5,
        PLATEAU,
        "note",
        f"the training loss has fallen by less than {percent(config.plateau_fraction, digits=0)} "
        f"below {number(before)} in {counted(span, 'epoch')}",
        recent,
        limit,
        "nats",
        "let it go on if the learning rate is still to fall; otherwise it may be done",
        "none",
    )


def _unpredicted(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    """Accuracy alone hides a class that is never named where its photos are few."""
    if reading.macro_f1 is None or not reading.unpredicted or _warm_epochs(reading) < 1:
        return None
    limit = config.macro_f1_fraction * reading.accuracy
    if reading.macro_f1 >= limit or reading.epoch < 2:
        return None
    named = listed(reading.unpredicted, limit=MAX_NAMED_CLASSES)
    return Verdict(
        7,
        UNPREDICTED,
        "warning",
        f"macro F1 is {percent(reading.macro_f1)} at an accuracy of {percent(reading.accuracy)}: "
        f"{counted(len(reading.unpredicted), 'class', 'classes')} never predicted ({named})",
        reading.macro_f1,
        limit,
        "macro F1",
        "set train.class_weights = 'balanced' or data.sampling = 'balanced', and "
        "train.metric = 'macro_f1'",
        "none",
    )


def _rate_high(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    losses = reading.train_losses
    if len(losses) < 2 or _warm_epochs(reading) < 1 or reading.epoch < 3:
        return None
    best = min(losses[:-1])
    limit = best * (1.0 + config.high_rate_rise)
    if losses[-1] <= limit:
        return None
    return Verdict(
        7,
        RATE_HIGH,
        "warning",
        f"the training loss has risen from {number(best)} to {number(losses[-1])}: the learning "
        "rate looks too high",
        losses[-1],
        limit,
        "nats",
        "lower it while the run goes on: ecotui set-lr RUN RATE",
        "none",
    )


def _rate_low(reading: EpochReading, config: GuardConfig) -> Verdict | None:
    """A loss that falls steadily, and so slowly that it is still high."""
    losses = reading.train_losses[-LOW_RATE_EPOCHS - 1 :]
    if len(losses) <= LOW_RATE_EPOCHS or _warm_epochs(reading) < LOW_RATE_EPOCHS:
        return None
    falls = [1.0 - later / earlier for earlier, later in itertools.pairwise(losses) if earlier > 0]
    is_slow = all(0.0 < fall < config.low_rate_fall for fall in falls)
    if not is_slow or len(falls) < LOW_RATE_EPOCHS:
        return None
    if losses[-1] < 0.5 * math.log(reading.num_classes):
        return None
    return Verdict(
        7,
        RATE_LOW,
        "note",
        f"the training loss falls by {percent(max(falls), 1)} an epoch at most, and is still "
        f"{number(losses[-1])}: the learning rate looks too low",
        max(falls),
        config.low_rate_fall,
        "fall an epoch",
        "raise it while the run goes on: ecotui set-lr RUN RATE",
        "none",
    )

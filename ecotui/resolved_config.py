"""A configuration in which every number is known: what `auto` chose stands in its place.

The engine works with this one. A request may leave the batch size and the
learning rate to be measured; what stands for them until then is provisional.
"""

from __future__ import annotations

from typing import Any, Literal

from ecotui.config import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_LEARNING_RATE,
    BatchSize,
    RunConfig,
    TrainConfig,
)
from ecotui.settings import Positive

MeasuredSetting = Literal["batch_size", "learning_rate"]
"""Settings of `[train]` that a measurement may choose."""

MEASURED_SETTINGS: tuple[MeasuredSetting, ...] = ("batch_size", "learning_rate")
"""In the order of their choice: the learning rate depends on the batch size."""

MAX_BATCH_FRACTION = 0.20
"""Of the training split, that a chosen batch may take. Source: Ludwig's batch size tuner."""


class ResolvedTrain(TrainConfig):
    """The training, with a number for each choice."""

    batch_size: BatchSize = DEFAULT_BATCH_SIZE
    """Images an optimizer step."""
    learning_rate: Positive = DEFAULT_LEARNING_RATE
    """Peak learning rate."""


class ResolvedConfig(RunConfig):
    """A run, with a number for each choice."""

    train: ResolvedTrain = ResolvedTrain()


def undecided(config: RunConfig) -> tuple[MeasuredSetting, ...]:
    """Return the settings that are left to a measurement."""
    return tuple(name for name in MEASURED_SETTINGS if getattr(config.train, name) == "auto")


def provisional(config: RunConfig, *, num_train: int) -> ResolvedConfig:
    """Return a configuration with usual numbers where a measurement is to choose.

    Args:
        config: The request.
        num_train: Images of the training split.
    """
    table: dict[str, Any] = config.model_dump()
    if config.train.batch_size == "auto":
        table["train"]["batch_size"] = min(DEFAULT_BATCH_SIZE, largest_batch(num_train))
    if config.train.learning_rate == "auto":
        lowest = config.train.min_learning_rate
        table["train"]["learning_rate"] = max(DEFAULT_LEARNING_RATE, lowest)
    return ResolvedConfig.model_validate(table)


def as_begun(config: RunConfig) -> RunConfig:
    """Return the configuration of a run that has begun, with what it began with.

    Where it was written down before there was a choice of keeping decoded pictures, there were
    none: choosing anew would change the pixels amid the training.
    """
    if config.data.cache != "auto":
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"cache": False})})


def largest_batch(num_train: int) -> int:
    """Return the largest batch that is chosen for so many training images."""
    return max(1, int(num_train * MAX_BATCH_FRACTION))

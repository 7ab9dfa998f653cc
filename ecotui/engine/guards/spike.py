"""Layer 5: a loss that has jumped and stays up, told from noise by robust statistics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ecotui.engine.guards.guard import Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import number

SPIKE = "loss_spike"
MIN_STEPS = 50
"""Losses that are known before one is compared with them."""


def is_spike(loss: float, losses: Sequence[float], config: GuardConfig) -> bool:
    """Say whether a loss stands out from those before it.

    Args:
        loss: Of this step, nats.
        losses: Of the steps before, those that stood out left away.
        config: Limits.

    Source:
        Median and median absolute deviation, as a mean and its deviation would be drawn
        along by the very spike; twice the median and a least rise besides, because near zero the
        deviations are tiny.
    """
    if len(losses) < MIN_STEPS:
        return False
    median = statistics.median(losses)
    if loss <= config.spike_factor * median or loss <= median + config.spike_min_rise:
        return False
    deviation = statistics.median(abs(each - median) for each in losses)
    return loss > median + config.spike_deviations * deviation


def inspect_spike(
    loss: float, losses: Sequence[float], in_a_row: int, config: GuardConfig
) -> Verdict | None:
    """Judge a series of losses that stood out.

    Args:
        loss: Of the last of them, nats.
        losses: Those before the series.
        in_a_row: Steps of the series.
        config: Limits.
    """
    if in_a_row < config.spike_steps:
        return None
    median = statistics.median(losses)
    return Verdict(
        5,
        SPIKE,
        "critical",
        f"the loss has jumped from {number(median)} to {number(loss)} and stays up for "
        f"{in_a_row} steps",
        loss,
        config.spike_factor * median,
        "nats",
        "lower train.learning_rate, or set train.clip_mode = 'adaptive'",
        "rollback",
    )

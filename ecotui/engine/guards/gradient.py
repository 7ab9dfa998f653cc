"""Layer 6: the gradients, before the update."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ecotui.engine.guards.guard import StepReading, Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import number

NONFINITE = "nonfinite_gradient"
EXPLODING = "exploding_gradient"
VANISHING = "vanishing_gradient"
FP16_SCALE = "fp16_scale"
EXPLODING_STEPS = 20
VANISHING_STEPS = 50
MIN_STEPS = 50
"""Norms that are known before one is compared with them."""
_RECENT_STEPS = 200
_SMALL_LOSS_FRACTION = 0.1
"""Of ln(classes): with a loss below, small gradients are what one wishes for."""


def inspect_step(reading: StepReading, config: GuardConfig) -> Verdict | None:
    """Judge the gradient norm of a step whose loss is finite.

    With fp16 scaling, gradients overflow now and then and the scaler skips the
    step and lowers its scale: that is no finding.
    """
    if reading.is_scaled or math.isfinite(reading.gradient_norm):
        return None
    in_a_row = reading.num_bad_in_a_row + 1
    least = config.max_nonfinite_in_a_row
    allowed = max(least - 1, int(config.max_nonfinite_fraction * _RECENT_STEPS))
    is_too_much = in_a_row >= least or reading.num_bad_recently + 1 > allowed
    return Verdict(
        6,
        NONFINITE,
        "critical",
        f"the gradients are not finite ({in_a_row} in a row)",
        float(in_a_row),
        float(least),
        "steps in a row",
        "lower train.learning_rate, or set train.clip_gradient_norm = 1.0",
        "rollback" if is_too_much else "skip_batch",
    )


def inspect_norms(
    norms: Sequence[float], loss: float, num_classes: int, config: GuardConfig
) -> Verdict | None:
    """Judge how the gradient norms of the last steps go on.

    Args:
        norms: L2 norms of all gradients before clipping, oldest first, finite.
        loss: Of the last step, nats.
        num_classes: K.
        config: Limits.
    """
    if len(norms) < MIN_STEPS + EXPLODING_STEPS:
        return None
    median = statistics.median(norms[:-EXPLODING_STEPS])
    lowest = min(norms[-EXPLODING_STEPS:])
    if lowest > config.exploding_factor * median > 0.0:
        return Verdict(
            6,
            EXPLODING,
            "warning",
            f"the gradient norm is above {number(lowest)} for {EXPLODING_STEPS} steps, and was "
            f"{number(median)} before",
            lowest,
            config.exploding_factor * median,
            "gradient norm",
            "lower train.learning_rate, or set train.clip_mode = 'adaptive'",
            "none",
        )
    highest = max(norms[-VANISHING_STEPS:])
    if highest < config.vanishing_norm and loss > _SMALL_LOSS_FRACTION * math.log(num_classes):
        return Verdict(
            6,
            VANISHING,
            "warning",
            f"the gradient norm is below {highest:.1e} for {VANISHING_STEPS} steps, and the loss "
            f"is {number(loss)}",
            highest,
            config.vanishing_norm,
            "gradient norm",
            "raise train.learning_rate, or start from pretrained weights",
            "none",
        )
    return None


def inspect_scale(scale: float, num_overflows_in_a_row: int, config: GuardConfig) -> Verdict | None:
    """Judge the loss scale of fp16.

    Args:
        scale: That the loss is multiplied with.
        num_overflows_in_a_row: Steps that the scaler skipped directly before.
        config: Limits.

    Source: pytorch/pytorch#40497, where scales collapse below 128 before training fails.
    """
    is_low = scale < config.min_fp16_scale
    if not is_low and num_overflows_in_a_row < config.max_overflows_in_a_row:
        return None
    return Verdict(
        6,
        FP16_SCALE,
        "warning",
        f"fp16 has no room left: the loss scale is {scale:g} after "
        f"{num_overflows_in_a_row} overflows in a row",
        scale,
        config.min_fp16_scale,
        "loss scale",
        "set compute.precision = 'bf16', or 'fp32' where the device has no bf16",
        "none",
    )

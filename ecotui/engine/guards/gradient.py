"""Layer 6: the gradients, before the update."""

from __future__ import annotations

import math

from ecotui.engine.guards.guard import StepReading, Verdict
from ecotui.guard_settings import GuardConfig

NONFINITE = "nonfinite_gradient"


def inspect_step(reading: StepReading, config: GuardConfig) -> Verdict | None:
    """Judge the gradient norm of a step whose loss is finite.

    With fp16 scaling, gradients overflow now and then and the scaler skips the
    step and lowers its scale: that is no finding.
    """
    if reading.is_scaled or math.isfinite(reading.gradient_norm):
        return None
    in_a_row = reading.num_bad_in_a_row + 1
    is_too_much = in_a_row >= config.max_nonfinite_in_a_row
    return Verdict(
        6,
        NONFINITE,
        "critical",
        f"the gradients are not finite ({in_a_row} in a row)",
        float(in_a_row),
        float(config.max_nonfinite_in_a_row),
        "steps in a row",
        "lower train.learning_rate, or set train.clip_gradient_norm = 1.0",
        "stop" if is_too_much else "skip_batch",
    )

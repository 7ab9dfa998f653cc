"""Layer 5: the loss, before anything is updated with it."""

from __future__ import annotations

import math

from ecotui.engine.guards.guard import StepReading, Verdict
from ecotui.guard_settings import GuardConfig

NONFINITE = "nonfinite_loss"


def inspect_step(reading: StepReading, config: GuardConfig) -> Verdict | None:
    """Judge the loss of a step; one that is not finite must not reach the weights."""
    if math.isfinite(reading.loss):
        return None
    in_a_row = reading.num_bad_in_a_row + 1
    is_too_much = in_a_row >= config.max_nonfinite_in_a_row
    return Verdict(
        5,
        NONFINITE,
        "critical",
        f"the loss is not finite ({in_a_row} in a row)",
        float(in_a_row),
        float(config.max_nonfinite_in_a_row),
        "steps in a row",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "stop" if is_too_much else "skip_batch",
    )

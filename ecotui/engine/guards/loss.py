"""Layer 5: the loss, before anything is updated with it."""

from __future__ import annotations

import math

from ecotui.engine.guards.guard import StepReading, Verdict
from ecotui.guard_settings import GuardConfig

NONFINITE = "nonfinite_loss"
RECENT_STEPS = 200
"""Steps of which a share may be skipped."""


def inspect_step(reading: StepReading, config: GuardConfig) -> Verdict | None:
    """Judge the loss and the scores of a step; what is not finite must not reach the weights.

    The scores too: on MPS a finite loss was seen to hide scores of NaN.
    Source: keras-team/keras#23661.
    """
    is_finite = math.isfinite(reading.loss)
    if is_finite and math.isfinite(reading.best_scores):
        return None
    in_a_row = reading.num_bad_in_a_row + 1
    is_too_much = are_too_many(in_a_row, reading.num_bad_recently + 1, config)
    named = "the loss is" if not is_finite else "the model's scores are"
    return Verdict(
        5,
        NONFINITE,
        "critical",
        f"{named} not finite ({in_a_row} in a row)",
        float(in_a_row),
        float(config.max_nonfinite_in_a_row),
        "steps in a row",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "rollback" if is_too_much else "skip_batch",
    )


def are_too_many(in_a_row: int, recently: int, config: GuardConfig) -> bool:
    """Say whether so many steps that are not finite can no longer be skipped.

    Args:
        in_a_row: The present one included.
        recently: Of the last 200 steps, the present one included.
        config: Limits.
    """
    least = config.max_nonfinite_in_a_row
    allowed = max(least - 1, int(config.max_nonfinite_fraction * RECENT_STEPS))
    return in_a_row >= least or recently > allowed

"""Layer 4: samples and batches that could not be used."""

from __future__ import annotations

from ecotui.engine.guards.guard import EpochCounts, Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import percent

SAMPLES = "batch_samples"
ERRORS = "batch_errors"
MAX_OUT_OF_MEMORY_IN_A_ROW = 3


def inspect_counts(counts: EpochCounts, config: GuardConfig) -> Verdict | None:
    """Judge the share of samples lost in the epoch so far.

    Judged after some batches, so that one bad file among the first does not
    decide, or when the epoch is over. Source of the limits: the founding
    notebook (5% warns, 20% stops).
    """
    if not counts.is_whole and counts.num_batches < config.judge_after_batches:
        return None
    lost = counts.lost_fraction
    said = f"{percent(lost, 1)} of this epoch's samples could not be used"
    if lost > config.max_lost_fraction:
        return Verdict(
            4,
            SAMPLES,
            "critical",
            said,
            lost,
            config.max_lost_fraction,
            "of samples",
            "look at the files named in quarantine.jsonl and replace or remove them; "
            "--set preflight.level=full finds them all before training",
            "stop",
        )
    if lost > config.warn_lost_fraction:
        return Verdict(
            4,
            SAMPLES,
            "warning",
            said,
            lost,
            config.warn_lost_fraction,
            "of samples",
            "some corrupt photos are acceptable; quarantine.jsonl names them",
            "none",
        )
    return None


def inspect_error(
    said: str, num_in_a_row: int, config: GuardConfig, *, is_out_of_memory: bool
) -> Verdict:
    """Judge a batch whose step raised: skipped, unless many in a row did.

    Args:
        said: The exception in words, made harmless.
        num_in_a_row: Batches that failed directly before, this one included.
        config: Limits.
        is_out_of_memory: Whether memory ran out, which passes seldom: fewer are enough.
    """
    limit = config.max_errors_in_a_row
    if is_out_of_memory:
        limit = min(limit, MAX_OUT_OF_MEMORY_IN_A_ROW)
    is_too_much = num_in_a_row >= limit
    advice = "a passing error is survived; engine.log has the whole story"
    if is_out_of_memory:
        advice = "lower train.micro_batch_size: the batch stays the same, in smaller parts"
    elif is_too_much:
        advice = (
            "the same failure in every batch is a fault of the settings or the code, not of "
            "the data: see engine.log"
        )
    return Verdict(
        4,
        ERRORS,
        "critical" if is_too_much else "warning",
        f"the batch failed ({said})",
        float(num_in_a_row),
        float(limit),
        "batches in a row",
        advice,
        "stop" if is_too_much else "skip_batch",
    )

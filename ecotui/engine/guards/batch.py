"""Layer 4: samples and batches that could not be used."""

from __future__ import annotations

from ecotui.engine.guards.guard import EpochCounts, Verdict
from ecotui.guard_settings import GuardConfig
from ecotui.text import percent

SAMPLES = "batch_samples"
SKIPS = "batch_skips"
INPUT = "bad_input"
ERRORS = "batch_errors"
MEMORY = "out_of_memory"
UPDATE = "failed_update"


def inspect_counts(counts: EpochCounts, config: GuardConfig) -> Verdict | None:
    """Judge the share of samples and of batches lost in the epoch so far; the worse one.

    Judged after some batches, so that one bad file among the first does not
    decide, or when the epoch is over. Source of the limits: the founding
    notebook (5% warns, 20% stops).
    """
    if not counts.is_whole and counts.num_batches < config.judge_after_batches:
        return None
    skips = _inspect_share(
        SKIPS,
        counts.skipped_fraction,
        "of this epoch's batches were skipped",
        "of batches",
        "the incidents of this run name the causes: lower train.learning_rate where numbers were "
        "not finite, train.micro_batch_size where memory ran out",
        config,
    )
    is_all = counts.is_whole and counts.num_skipped_batches == counts.num_batches
    if counts.num_skipped_batches < config.min_skipped_batches and not is_all:
        skips = None
    samples = _inspect_share(
        SAMPLES,
        counts.lost_fraction,
        "of this epoch's samples could not be used",
        "of samples",
        "look at the files named in quarantine.jsonl and replace or remove them; "
        "--set preflight.level=full finds them all before training",
        config,
    )
    found = [verdict for verdict in (samples, skips) if verdict is not None]
    return max(found, key=lambda verdict: verdict.severity == "critical", default=None)


def _inspect_share(
    guard: str, share: float, said: str, unit: str, advice: str, config: GuardConfig
) -> Verdict | None:
    what = f"{percent(share, 1)} {said}"
    if share > config.max_lost_fraction:
        limit = config.max_lost_fraction
        return Verdict(4, guard, "critical", what, share, limit, unit, advice, "stop")
    if share > config.warn_lost_fraction:
        limit, some = config.warn_lost_fraction, "some are acceptable; "
        return Verdict(4, guard, "warning", what, share, limit, unit, some + advice, "none")
    return None


def set_aside(file: str, reason: str) -> Verdict:
    """Say that a sample cannot be used, which nothing but another sample cures.

    Args:
        file: Its path, made harmless.
        reason: Likewise.
    """
    return Verdict(
        4,
        INPUT,
        "warning",
        f"{file} cannot be used: {reason}",
        None,
        None,
        "",
        "replace or remove that file",
        "skip_sample",
    )


def inspect_error(said: str, num_in_a_row: int, config: GuardConfig) -> Verdict:
    """Judge a batch whose step raised: skipped, unless many in a row did.

    Args:
        said: The exception in words, made harmless.
        num_in_a_row: Batches that failed directly before, this one included.
        config: Limits.
    """
    limit = config.max_errors_in_a_row
    is_too_much = num_in_a_row >= limit
    advice = "a passing error is survived; engine.log has the whole story"
    if is_too_much:
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


def inspect_memory(where: str, size: int, smallest: int) -> Verdict:
    """Judge memory that ran out: fewer images at once, as long as there are more than one.

    Args:
        where: What it ran out in, such as `a training step`.
        size: Images at once so far.
        smallest: That can be computed at all.
    """
    half = max(smallest, size // 2)
    is_spent = size <= smallest
    return Verdict(
        4,
        MEMORY,
        "critical" if is_spent else "warning",
        f"memory ran out in {where} with {size} images at once"
        + ("" if is_spent else f": going on with {half}, and the same samples"),
        float(size),
        float(smallest),
        "images at once",
        "choose a smaller model or data.image_size, set model.gradient_checkpointing = true, or "
        "end other programs on the device"
        if is_spent
        else "set train.micro_batch_size to that in the next run: the batch stays the same",
        "stop" if is_spent else "shrink_micro_batch",
    )


def inspect_update(said: str) -> Verdict:
    """Judge an update that raised half way: what it has left cannot be trusted.

    Args:
        said: The exception in words, made harmless.
    """
    return Verdict(
        4,
        UPDATE,
        "critical",
        f"the update of the weights failed half way ({said})",
        None,
        None,
        "",
        "see engine.log for the whole story, or choose another train.optimizer",
        "rollback",
    )

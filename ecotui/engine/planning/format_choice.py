"""Which number format and memory layout wins, from what was seen of each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.compute import Precision
from ecotui.engine.planning.format_trial import PLAIN, Format, Trial

MARGIN = 1.10
"""What is chosen has to be so much faster than what is usual here; a few steps tell 3 to 5 %."""

FURTHER_MARGIN = 1.05
"""And so much faster than a winner that departs less from what is usual."""

TOLERANCE = 0.10
"""By this share may loss and gradient norm of the first batch differ from those of plain fp32.
Source: over five timm models at their first weights bf16, which keeps eight bits, changed the loss
by up to 3.4 % (mobilenetv4_conv_small) and the norm by up to 2.2 %, the memory layout alone by
nothing; three times the largest. A kernel that computes something else is off by much more."""

STEADY = 1.25
"""Where two measurements of the usual format differ by more, the machine is too busy to measure."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be used, and why.

    Attributes:
        format: The winner.
        speed: Of the winner, in that of the usual format; None where nothing could be compared.
        left_out: What was disqualified, and why.
        slower: Speeds of the others that ran well, in that of the usual format.
        is_steady: Whether the usual format was as fast at the end as at the beginning.
        fault: Why nothing could be compared; empty where it could.
    """

    format: Format
    speed: float | None = None
    left_out: tuple[str, ...] = ()
    slower: tuple[tuple[Format, float], ...] = ()
    is_steady: bool = True
    fault: str = ""


def formats_to_try(
    usual: Format, *, any_precision: bool, any_layout: bool, mixed: Precision
) -> list[Format]:
    """Return the formats in the order of trying: that which all are compared with first.

    Args:
        usual: What is used where nothing is measured.
        any_precision: Whether the precision is open.
        any_layout: Whether the memory layout is.
        mixed: The device's own short format, `bf16` or `fp16`.
    """
    precisions: list[Precision] = ["fp32", mixed] if any_precision else [usual.precision]
    layouts = [False, True] if any_layout else [usual.channels_last]
    others = [Format(each, layout) for each in precisions for layout in layouts]
    first = [PLAIN] if usual == PLAIN else [PLAIN, usual]
    # The usual one again at the end: whether the machine was steady meanwhile.
    return [*first, *(each for each in others if each not in first), usual]


def choose(trials: Sequence[Trial], usual: Format, candidates: Sequence[Format]) -> Choice:
    """Choose among formats.

    Args:
        trials: What was seen, in order; the usual format may stand there twice.
        usual: What is used where nothing else wins.
        candidates: That may win.
    """
    reference = next((each for each in trials if each.format == PLAIN), None)
    own = [each for each in trials if each.format == usual]
    if reference is None or not own:
        return Choice(usual, fault="there was no time")
    for needed in (reference, own[0]):
        if needed.fault:
            return Choice(usual, fault=f"{needed.format}: {needed.fault}")
    times = [each.step_seconds for each in own if not each.fault]
    usual_seconds = min(times)
    left_out: list[str] = []
    speeds: dict[Format, float] = {}
    for trial in trials:
        if trial.format == usual or trial.format not in candidates:
            continue
        fault = trial.fault or _deviation(trial, reference)
        if fault:
            left_out.append(f"{trial.format}: {fault}")
        else:
            speeds[trial.format] = usual_seconds / max(trial.step_seconds, 1e-9)
    chosen, speed = usual, 1.0
    for form in sorted(speeds, key=lambda each: _departure(each, usual)):
        if speeds[form] > max(MARGIN, speed * FURTHER_MARGIN if chosen != usual else 0.0):
            chosen, speed = form, speeds[form]
    return Choice(
        chosen,
        speed,
        tuple(left_out),
        tuple((form, each) for form, each in speeds.items() if form != chosen),
        is_steady=len(times) > 1 and max(times) <= STEADY * min(times),
    )


def _departure(form: Format, usual: Format) -> int:
    """Return how far a format is from the usual one: the precision weighs more."""
    return 2 * (form.precision != usual.precision) + (form.channels_last != usual.channels_last)


def _deviation(trial: Trial, reference: Trial) -> str:
    """Return in words what a format computes differently; empty where it is about the same."""
    pairs = (("loss", trial.loss, reference.loss), ("gradient norm", trial.norm, reference.norm))
    for name, seen, expected in pairs:
        if not math.isfinite(seen) or abs(seen - expected) > TOLERANCE * abs(expected):
            return f"a {name} of {seen:.4g} where plain fp32 has {expected:.4g}"
    return ""

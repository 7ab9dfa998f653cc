"""A format wins by a clear margin over what is usual, and only where it computes the same."""

from __future__ import annotations

import math

import pytest

from ecotui.engine.planning.format_choice import choose, formats_to_try
from ecotui.engine.planning.format_trial import PLAIN, Format, Trial
from ecotui.engine.planning.formats import told

CL = Format("fp32", True)
BF16 = Format("bf16", False)
BF16_CL = Format("bf16", True)
ALL = (PLAIN, CL, BF16, BF16_CL)


def seen(form: Format, speed: float, *, loss: float = 2.3, norm: float = 1.0) -> Trial:
    return Trial(form, 1.0 / speed, loss, norm)


def chosen(*trials: Trial, usual: Format = PLAIN) -> Format:
    return choose(trials, usual, ALL).format


@pytest.mark.parametrize(
    ("speeds", "winner"),
    [
        ((1.09, 1.05, 1.0), PLAIN),
        ((1.2, 1.1, 1.1), CL),
        ((1.0, 2.0, 2.04), BF16),
        ((1.1, 1.55, 1.72), BF16_CL),
        ((1.38, 0.83, 0.84), CL),
        ((0.9, 0.8, 0.7), PLAIN),
        ((1.3, 1.33, 1.34), CL),
    ],
)
def test_the_winner_is_clearly_faster_than_the_usual_one_and_than_what_departs_less(
    speeds: tuple[float, ...], winner: Format
) -> None:
    others = [seen(form, speed) for form, speed in zip((CL, BF16, BF16_CL), speeds, strict=True)]
    assert chosen(seen(PLAIN, 1.0), *others, seen(PLAIN, 1.0)) == winner


@pytest.mark.parametrize(
    "bad",
    [
        seen(BF16, 3.0, loss=2.6),
        seen(BF16, 3.0, norm=1.2),
        seen(BF16, 3.0, loss=math.nan),
        Trial(BF16, 0.1, 2.3, 1.0, "its process crashed (SIGABRT)"),
    ],
)
def test_what_crashes_or_computes_something_else_is_left_out_and_named(bad: Trial) -> None:
    choice = choose([seen(PLAIN, 1.0), seen(CL, 1.2), bad, seen(PLAIN, 1.0)], PLAIN, ALL)
    assert choice.format == CL
    (why,) = choice.left_out
    assert why.startswith("bf16: ")
    assert why in told(choice, PLAIN, "measured in 9 s")


def test_what_rounding_does_to_the_loss_disqualifies_nothing() -> None:
    rounded = seen(BF16, 2.4, loss=2.3 * 1.034, norm=1.022)
    assert chosen(seen(PLAIN, 1.0), rounded, seen(PLAIN, 1.0)) == BF16


def test_without_the_usual_format_nothing_is_compared() -> None:
    crashed = Trial(PLAIN, fault="its process crashed (SIGSEGV)")
    for trials in ([], [crashed, seen(BF16, 3.0)], [seen(BF16, 3.0)]):
        choice = choose(trials, PLAIN, ALL)
        assert (choice.format, choice.speed) == (PLAIN, None)
        assert "could not be compared" in told(choice, PLAIN, "")


def test_the_better_of_two_measurements_of_the_usual_format_counts() -> None:
    """One that other programs slowed down would make every other format win."""
    choice = choose([seen(PLAIN, 0.5), seen(BF16, 1.05), seen(PLAIN, 1.0)], PLAIN, ALL)
    assert choice.format == PLAIN
    assert not choice.is_steady
    assert choose([seen(PLAIN, 0.9), seen(PLAIN, 1.0)], PLAIN, ALL).is_steady


def test_an_accelerator_compares_with_its_own_format_and_computes_like_plain_fp32() -> None:
    order = formats_to_try(BF16_CL, any_precision=True, any_layout=True, mixed="bf16")
    assert order[:2] == [PLAIN, BF16_CL]
    assert order[-1] == BF16_CL
    assert set(order) == set(ALL)
    # Plain fp32 is slower, bf16 alone is no faster than with channels last.
    trials = [seen(PLAIN, 1.0), seen(BF16_CL, 3.0), seen(BF16, 3.1), seen(BF16_CL, 3.0)]
    assert chosen(*trials, usual=BF16_CL) == BF16_CL


def test_only_what_is_left_open_is_tried() -> None:
    assert formats_to_try(BF16, any_precision=False, any_layout=True, mixed="bf16") == [
        PLAIN,
        BF16,
        BF16_CL,
        BF16,
    ]
    assert formats_to_try(PLAIN, any_precision=True, any_layout=False, mixed="bf16") == [
        PLAIN,
        BF16,
        PLAIN,
    ]
    choice = choose([seen(PLAIN, 9.0), seen(BF16, 1.0), seen(BF16_CL, 1.0)], BF16, (BF16, BF16_CL))
    assert choice.format == BF16


def test_the_words_name_settings_speed_and_time() -> None:
    trials = [seen(PLAIN, 1.0), seen(BF16_CL, 2.4), seen(PLAIN, 1.0)]
    assert told(choose(trials, PLAIN, ALL), PLAIN, "measured in 9 s") == (
        "compute.precision = bf16, compute.channels_last = true: 2.4 times the plain speed (fp32); "
        "measured in 9 s"
    )
    trials = [seen(PLAIN, 1.0), seen(BF16, 0.83), seen(PLAIN, 1.0)]
    assert told(choose(trials, PLAIN, ALL), PLAIN, "measured in 9 s") == (
        "compute.precision = fp32, compute.channels_last = false: no other format is 10 % faster "
        "(bf16 0.83 times); measured in 9 s"
    )

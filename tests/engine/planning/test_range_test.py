"""The range test finds the fall of the loss, and leaves no trace in the run."""

from __future__ import annotations

import math
import random
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.range_test import (
    FEWEST_STEPS,
    HIGHEST_RATE,
    LOWEST_RATE,
    MOST_STEPS,
    Curve,
    longest_fall,
    run_range_test,
    suggested_rate,
)
from tests.engine.harness import Harness
from tests.engine.planning.assembled import assembled, everything_of, same_everything


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9))
def test_the_longest_fall_falls_and_none_is_longer(losses: list[int]) -> None:
    fall = longest_fall([float(loss) for loss in losses])
    values = [losses[place] for place in fall]
    assert fall == sorted(set(fall))
    assert all(one > other for one, other in pairwise(values))
    longer = combinations(losses, len(fall) + 1)
    assert not any(all(one > other for one, other in pairwise(found)) for found in longer)


def rates() -> list[float]:
    return [
        LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (n / (MOST_STEPS - 1))
        for n in range(MOST_STEPS)
    ]


def curve_of(loss: list[float]) -> Curve:
    curve = Curve()
    for rate, value in zip(rates(), loss, strict=True):
        if not curve.add(rate, value):
            break
    return curve


def test_the_rate_is_in_the_middle_of_the_fall() -> None:
    """Level to 1e-4, falling to 1e-1, then without bound."""
    loss = [
        2.0
        if rate < 1e-4
        else max(0.2, 2.0 - 0.6 * math.log10(rate / 1e-4)) + (rate > 0.3) * 100 * rate
        for rate in rates()
    ]
    curve = curve_of(loss)
    assert curve.has_diverged
    rate = suggested_rate(curve)
    assert rate is not None
    assert 1e-4 < rate < 1e-1
    assert rate == float(f"{rate:.1e}")


def test_a_loss_that_never_falls_gives_no_rate() -> None:
    assert suggested_rate(curve_of([2.0] * MOST_STEPS)) is None
    rising = [2.0 + number for number in range(MOST_STEPS)]
    assert suggested_rate(curve_of(rising)) is None


def test_a_loss_that_is_no_number_ends_the_test() -> None:
    curve = Curve()
    assert curve.add(1e-7, 2.0)
    assert not curve.add(2e-7, math.nan)
    assert (curve.losses, curve.has_diverged) == ([2.0], True)
    assert suggested_rate(curve) is None


def test_smoothing_corrects_for_its_beginning() -> None:
    curve = Curve()
    for rate in rates()[:10]:
        curve.add(rate, 3.0)
    assert curve.losses == pytest.approx([3.0] * 10)


def test_weights_buffers_optimizer_average_and_generators_are_bit_equal_afterwards(
    harness: Harness,
) -> None:
    parts = assembled(harness, train={"ema": True, "freeze_epochs": 1}, model={"drop_rate": 0.5})
    next(parts.trainable.network.children()).eval()
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)
    before = everything_of(parts)
    curve = run_range_test(parts, Budget(1e9, lambda: None), step_seconds=0.001)
    assert len(curve.losses) >= FEWEST_STEPS
    assert same_everything(before, everything_of(parts))
    assert all(weight.grad is None for weight in parts.trainable.network.parameters())


def test_a_test_that_is_broken_off_leaves_no_trace_either(harness: Harness) -> None:
    parts = assembled(harness)
    before = everything_of(parts)
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls == 12:
            assert not same_everything(before, everything_of(parts))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_range_test(parts, Budget(1e9, poll), step_seconds=0.001)
    assert same_everything(before, everything_of(parts))


def test_too_little_time_means_no_test(harness: Harness) -> None:
    parts = assembled(harness)
    curve = run_range_test(parts, Budget(10.0, lambda: None), step_seconds=1.0)
    assert curve.losses == []
    assert suggested_rate(curve) is None

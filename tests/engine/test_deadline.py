"""A run is saved before its time is over, by what saves and batches were measured to take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.deadline import LEAST_SAVE_SECONDS, Deadline, end_time

SECONDS = st.floats(min_value=0.0, max_value=1e5, allow_nan=False)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def deadline(limit: float, clock: Clock) -> Deadline:
    return Deadline(9_000.0 + limit, wall_clock=lambda: 9_000.0, clock=clock)


def test_without_an_end_it_is_never_near() -> None:
    clock = Clock()
    unlimited = Deadline(clock=clock)
    clock.now = 1e12
    assert not unlimited.is_near()


@given(limit=SECONDS, saves=st.lists(SECONDS, max_size=5), batches=st.lists(SECONDS, max_size=5))
def test_a_batch_and_two_of_the_longest_save_fit_before_the_end(
    limit: float, saves: list[float], batches: list[float]
) -> None:
    clock = Clock()
    kept = deadline(limit, clock)
    for seconds in saves:
        kept.note_save(seconds)
    kept.note_step(0)
    for step, seconds in enumerate(batches, start=1):
        clock.now += seconds
        kept.note_step(step)
    needed = max(LEAST_SAVE_SECONDS, 2 * max(saves, default=0.0)) + max(batches, default=0.0)
    assert kept.margin_seconds == pytest.approx(needed)
    clock.now = 50.0 + limit - needed - 1.0
    assert not kept.is_near()
    clock.now = 50.0 + limit - needed + 1e-3
    assert kept.is_near()


def test_until_a_save_is_measured_its_length_is_assumed_from_its_size() -> None:
    clock = Clock()
    kept = deadline(1_000.0, clock)
    kept.expect_save(1_000_000_000)
    assert kept.margin_seconds == pytest.approx(20.0)
    kept.note_save(4.0)
    assert kept.margin_seconds == pytest.approx(8.0)
    kept.expect_save(10**12)
    assert kept.margin_seconds == pytest.approx(8.0)


def test_a_step_after_a_pause_or_a_jump_counts_from_the_last_look() -> None:
    clock = Clock()
    kept = deadline(1_000.0, clock)
    kept.note_step(4)
    clock.now += 500.0
    kept.note_step(4)
    clock.now += 2.0
    kept.note_step(5)
    assert kept.margin_seconds == pytest.approx(LEAST_SAVE_SECONDS + 2.0)


@pytest.mark.parametrize(
    ("given_", "told", "expected"),
    [
        (None, None, None),
        (None, "1700000000", 1_700_000_000.0),
        (5.0, "1700000000", 5.0),
        (None, "soon", None),
        (None, "inf", None),
        (None, "0", None),
    ],
)
def test_the_flag_comes_before_what_slurm_says(
    given_: float | None, told: str | None, expected: float | None
) -> None:
    environment = {} if told is None else {"SLURM_JOB_END_TIME": told}
    assert end_time(given_, environment) == expected


def test_a_changed_system_time_changes_nothing() -> None:
    clock = Clock()
    times = iter([9_000.0, 1.0, math.inf])
    kept = Deadline(9_100.0, wall_clock=lambda: next(times), clock=clock)
    clock.now += 50.0
    assert not kept.is_near()

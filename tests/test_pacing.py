"""The pace of drawing: as asked for, less while the terminal lags, and back again."""

from __future__ import annotations

import pytest

from ecotui.pacing import CALM_FRAMES, LAG_SECONDS, MAX_BACKLOG, QUERY_INTERVAL_SECONDS, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def slowed(pace: Pace) -> Pace:
    for _ in range(5):
        pace.may_draw(MAX_BACKLOG + 1)
    return pace


@pytest.mark.parametrize("per_second", [10.0, 4.0, 1.0, 0.5])
def test_it_begins_with_what_is_asked_for(per_second: float, clock: Clock) -> None:
    assert Pace(per_second, clock).interval_seconds == pytest.approx(1 / per_second)


def test_a_terminal_that_takes_nothing_gets_no_more_frames(clock: Clock) -> None:
    pace = Pace(10, clock)
    assert pace.may_draw(MAX_BACKLOG)
    assert not pace.may_draw(MAX_BACKLOG + 1)


def test_under_a_backlog_the_pace_falls_to_one_a_second_and_no_further(clock: Clock) -> None:
    pace = slowed(Pace(10, clock))
    assert pace.interval_seconds == 1.0
    assert slowed(Pace(0.2, clock)).interval_seconds == 5.0  # What was asked for is slower yet.


def test_it_rises_again_once_frames_go_out_at_once(clock: Clock) -> None:
    pace = slowed(Pace(10, clock))
    for _ in range(CALM_FRAMES):
        pace.may_draw(0)
    assert pace.interval_seconds == 0.5
    for _ in range(CALM_FRAMES * 5):
        pace.may_draw(0)
    assert pace.interval_seconds == pytest.approx(0.1)


def test_a_slow_answer_slows_it_down_and_a_quick_one_frees_it(clock: Clock) -> None:
    pace = Pace(10, clock)
    for _ in range(4):
        assert pace.should_ask()
        clock.now += LAG_SECONDS + 0.1
        pace.answered()
        clock.now += QUERY_INTERVAL_SECONDS
    assert pace.interval_seconds == 1.0
    assert pace.should_ask()
    clock.now += 0.01
    pace.answered()
    assert pace.interval_seconds == pytest.approx(0.1)


def test_it_asks_now_and_then_and_not_twice_before_an_answer(clock: Clock) -> None:
    pace = Pace(10, clock)
    assert pace.should_ask()
    assert not pace.should_ask()
    pace.answered()
    clock.now += QUERY_INTERVAL_SECONDS + 0.1
    assert pace.should_ask()
    clock.now += QUERY_INTERVAL_SECONDS + 0.1
    assert not pace.should_ask()


def test_an_answer_that_does_not_come_counts_as_a_slow_one(clock: Clock) -> None:
    pace = Pace(10, clock)
    pace.should_ask()
    pace.answered()
    clock.now += QUERY_INTERVAL_SECONDS
    pace.should_ask()
    clock.now += LAG_SECONDS + 0.1
    for _ in range(10):
        pace.may_draw(0)
    assert pace.interval_seconds == 1.0


def test_a_terminal_that_never_answers_is_not_taken_for_slow(clock: Clock) -> None:
    pace = Pace(10, clock)
    for _ in range(100):
        pace.should_ask()
        clock.now += 1.0
        pace.may_draw(0)
    assert pace.interval_seconds == pytest.approx(0.1)


def test_a_startup_message_nobody_asked_for_measures_nothing(clock: Clock) -> None:
    pace = Pace(10, clock)
    pace.answered()
    assert pace.interval_seconds == pytest.approx(0.1)

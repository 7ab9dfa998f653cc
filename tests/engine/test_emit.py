"""Progress is stated often while a run is young, and more rarely as it grows old."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ecotui.engine.emit import OLD_INTERVAL_SECONDS, Throttle

HOUR = 3_600.0


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def stated(hours: float, *, grows: bool, every_seconds: float = 0.25) -> list[float]:
    """Return the seconds at which a run whose steps take so long states them."""
    clock = Clock()
    began = clock.now
    throttle = Throttle(clock=clock, old_interval_seconds=OLD_INTERVAL_SECONDS if grows else None)
    found = []
    while clock.now - began < hours * HOUR:
        if throttle.is_due():
            found.append(clock.now - began)
        clock.now += every_seconds
    return found


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def test_the_first_is_stated_at_once_and_then_two_a_second_for_two_hours() -> None:
    times = stated(1.9, grows=True)
    assert times[0] == 0.0
    assert set(gaps(times)) == {0.5}
    assert times == stated(1.9, grows=False)


def test_with_a_runs_age_steps_are_stated_more_rarely_but_every_ten_seconds() -> None:
    times = stated(80.0, grows=True, every_seconds=0.5)
    between = gaps(times)
    assert between == sorted(between)
    after_eight_hours = next(
        gap for time, gap in zip(times, between, strict=False) if time > 28_800
    )
    assert after_eight_hours == 2.5  # the next step after two seconds have passed
    assert between[-1] == OLD_INTERVAL_SECONDS == max(between)


def test_progress_within_a_stage_stays_at_two_a_second() -> None:
    assert set(gaps(stated(30.0, grows=False, every_seconds=0.5))) == {0.5}


def test_an_epoch_is_told_of_twenty_times_whatever_the_age() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, old_interval_seconds=OLD_INTERVAL_SECONDS)
    clock.now += 100 * HOUR
    for seconds, told in ((8.0, 16), (100.0, 20), (1_000.0, 100)):
        throttle.note_epoch(seconds)
        times = []
        for _ in range(int(seconds * 4)):
            clock.now += 0.25
            if throttle.is_due():
                times.append(clock.now)
        assert len(times) == pytest.approx(told, abs=1)


def test_what_does_not_age_is_not_changed_by_epochs() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock)
    throttle.note_epoch(1e6)
    assert throttle.is_due()
    clock.now += 0.5
    assert throttle.is_due()

"""Memory is a line over the images of a pass, and the smallest size that is fast enough wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.planning.fitting import Line, Trial, fastest, fit, memory_line


def trial(size: int, rate: float, peak: int | None = None) -> Trial:
    return Trial(size, peak, size / rate, 0.0)


@given(st.floats(0, 1e11), st.floats(0, 1e9), st.sets(st.integers(1, 512), min_size=2, max_size=8))
def test_a_line_is_found_again_from_any_of_its_points(
    start: float, slope: float, sizes: set[int]
) -> None:
    line = fit([(size, start + slope * size) for size in sizes])
    assert line is not None
    expected = start + slope * 1_000
    assert line.at(1_000) == pytest.approx(expected, rel=1e-6, abs=1e-3)


@given(st.floats(0, 1e10), st.floats(1.0, 1e9), st.floats(1.0, 1e12))
def test_the_largest_size_fits_and_the_next_does_not(
    start: float, slope: float, limit: float
) -> None:
    largest = Line(start, slope).largest(limit)
    assert largest is not None
    slack = 1e-6 * max(limit, start)
    assert largest == 0 or Line(start, slope).at(largest) <= limit + slack
    assert Line(start, slope).at(largest + 1) > limit - slack


def test_small_sizes_do_not_bend_the_line() -> None:
    """At small sizes other kernels run: only the three largest count."""
    points = [(1, 900.0), (2, 900.0), (8, 180.0), (16, 260.0), (32, 420.0)]
    line = fit(points)
    assert line is not None
    assert line.at(64) == pytest.approx(740.0)


def test_one_size_tells_no_growth() -> None:
    assert fit([(4, 100.0), (4, 100.0)]) is None
    assert memory_line([trial(4, 1.0, 100), trial(8, 1.0, None)]) is None


def test_memory_that_shrinks_by_noise_is_taken_for_level() -> None:
    line = fit([(2, 101.0), (4, 99.0)])
    assert line == Line(100.0, 0.0)
    assert line.largest(100.0) is None
    assert line.largest(99.0) == 0


def test_the_smallest_size_that_is_about_as_fast_as_any_wins() -> None:
    trials = [trial(8, 50.0), trial(16, 96.0), trial(32, 100.0), trial(64, 90.0)]
    assert fastest(trials).size == 16

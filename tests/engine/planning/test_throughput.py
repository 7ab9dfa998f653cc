"""What a run is bound by follows from two speeds, the workers and the processors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.planning.throughput import Pace


def pace(**changed: Any) -> Pace:
    settings: dict[str, Any] = {
        "compute": 100.0,
        "alone": 50.0,
        "measured": {},
        "shares_processors": False,
        "num_processors": 8,
        "threads": 1,
    }
    return Pace(**{**settings, **changed})


def test_without_workers_reading_and_computing_take_turns() -> None:
    assert pace().together(0) == pytest.approx(1 / (1 / 100 + 1 / 50))


def test_with_workers_the_slower_one_counts() -> None:
    assert pace().together(1) == 50.0
    assert pace().together(4) == 100.0


def test_workers_on_the_processors_that_compute_take_from_them() -> None:
    shared = pace(shares_processors=True, num_processors=2, threads=2)
    # A second of two processors: 2/100 for an image computed, 1/50 for one read.
    assert shared.together(2) == pytest.approx(2 / (2 / 100 + 1 / 50))


def test_what_was_measured_goes_before_what_is_reckoned() -> None:
    assert pace(measured={4: 60.0}).together(4) == 60.0


@pytest.mark.parametrize(
    ("compute", "alone", "workers", "expected"),
    [
        (100.0, 20.0, 2, "data"),
        (100.0, 1_000.0, 1, "compute"),
        (100.0, 55.0, 2, "balanced"),
        (100.0, 100.0, 0, "data"),
        (100.0, 10_000.0, 0, "compute"),
    ],
)
def test_the_bottleneck_is_named(compute: float, alone: float, workers: int, expected: str) -> None:
    assert pace(compute=compute, alone=alone).bottleneck(workers) == expected


def test_the_number_of_workers_is_the_smallest_that_feeds_the_device() -> None:
    assert pace(compute=100.0, alone=26.0).best_workers(8) == 4
    assert pace(compute=100.0, alone=26.0).better_workers(1, 8) == 4


def test_no_change_is_proposed_that_gains_little() -> None:
    assert pace(compute=100.0, alone=95.0).better_workers(1, 8) is None
    assert pace(compute=100.0, alone=1_000.0).better_workers(6, 8) is None


rates = st.floats(0.1, 1e5)


@given(rates, rates, st.booleans(), st.integers(1, 64), st.integers(0, 64))
def test_training_is_never_faster_than_computing(
    compute: float, alone: float, shared: bool, processors: int, workers: int
) -> None:
    made = pace(compute=compute, alone=alone, shares_processors=shared, num_processors=processors)
    assert 0.0 < made.together(workers) <= compute * (1 + 1e-9)

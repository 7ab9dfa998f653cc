"""Sizes grow until memory, time or speed says no; what will not fit is never tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from ecotui.engine.planning import deciding
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.exploring import Explorer
from ecotui.engine.planning.fitting import Trial
from ecotui.engine.planning.memory import Room
from ecotui.engine.planning.rehearsal import Rehearsal

MODEL_BYTES, IMAGE_BYTES = 1_000, 100


class Bench:
    """Stands for a rehearsal: sizes have known costs, and the clock runs with them."""

    def __init__(
        self, seconds: Callable[[int], float] = lambda size: 1.0, breaks_at: int = 10**9
    ) -> None:
        self.seconds, self.breaks_at = seconds, breaks_at
        self.tried: list[int] = []
        self.now = 0.0

    def measure(self, size: int, budget: Budget, *, batch_size: int, steps: int) -> Trial | None:
        self.tried.append(size)
        if size >= self.breaks_at:
            return None
        self.now += self.seconds(size)
        return Trial(size, MODEL_BYTES + IMAGE_BYTES * size, self.seconds(size), 0.0)


def explorer(
    bench: Bench, *, limit: int | None = None, seconds: float = 1e9, batch_size: int | None = None
) -> Explorer:
    budget = Budget(seconds, lambda: None, clock=lambda: bench.now)
    rehearsal = cast(Rehearsal, bench)
    return Explorer(rehearsal, Room(limit, 0.1), budget, batch_size, 5, lambda: None)


def doubling(most: int = 4_096) -> Any:
    return deciding._doubling(most)


def test_what_will_not_fit_is_never_tried() -> None:
    bench = Bench(lambda size: size**0.5)
    found = explorer(bench, limit=MODEL_BYTES + 40 * IMAGE_BYTES).explore(
        doubling(), wants_speed=True
    )
    assert bench.tried == [8, 16, 32]
    assert (found.limit, found.refused) == ("memory", 64)
    assert found.peak_bytes(64) == MODEL_BYTES + 64 * IMAGE_BYTES


def test_running_out_of_memory_is_an_answer() -> None:
    bench = Bench(lambda size: size**0.5, breaks_at=32)
    found = explorer(bench).explore(doubling())
    assert [each.size for each in found.trials] == [8, 16]
    assert (found.limit, found.refused) == ("memory", 32)


def test_a_size_that_is_no_faster_ends_the_search() -> None:
    bench = Bench(lambda size: max(1.0, size / 32))
    found = explorer(bench).explore(doubling(), wants_speed=True)
    assert bench.tried == [8, 16, 32, 64]
    assert found.limit == "speed"


def test_a_size_that_takes_longer_than_is_left_is_not_begun() -> None:
    bench = Bench(float)
    found = explorer(bench, seconds=60.0).explore(doubling())
    assert bench.tried == [8, 16]
    assert found.limit == "time"


def test_two_passes_a_step_count_twice_in_time() -> None:
    bench = Bench(float)
    found = explorer(bench, seconds=60.0, batch_size=512).explore(doubling())
    assert bench.tried == [8]
    assert found.limit == "time"


@pytest.mark.parametrize(("images", "expected"), [(45, 40), (63, 56), (39, 32)])
def test_quarter_steps_fill_the_memory_and_the_next_would_not_fit(
    images: int, expected: int
) -> None:
    limit = MODEL_BYTES + images * IMAGE_BYTES
    bench = Bench(lambda size: size**0.5)
    made = explorer(bench, limit=limit)
    found = made.explore(doubling(), wants_speed=True)
    deciding._refine(made, found, 4_096)
    largest = found.trials[-1].size
    assert largest == expected
    assert MODEL_BYTES + (largest + 8) * IMAGE_BYTES > limit
    assert all(MODEL_BYTES + size * IMAGE_BYTES <= limit for size in bench.tried)

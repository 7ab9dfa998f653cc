"""What the guards beside the training find in made series, and what they leave alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui.engine.guards import machine, memory, pace, stall, storage
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.machine import CardReading
from ecotui.engine.guards.memory import MemoryReading
from ecotui.engine.guards.pace import PaceReading, SupplyReading
from ecotui.engine.guards.stall import StallReading, limit_seconds
from ecotui.engine.guards.storage import StorageReading
from ecotui.engine.guards.trends import MIN_POINTS, rising
from ecotui.watch_settings import WatchConfig

LIMITS = WatchConfig()
GB = 1_000_000_000
LOOK_SECONDS = 5.0


def told(verdict: Verdict | None) -> tuple[str, str] | None:
    return None if verdict is None else (verdict.severity, verdict.action)


def looks(values: Sequence[float], every: float = LOOK_SECONDS) -> list[tuple[float, float]]:
    return [(number * every, value) for number, value in enumerate(values)]


class TestStall:
    @pytest.mark.parametrize(
        ("silent", "past", "expected"),
        [
            (59.9, [0.1] * 9, None),
            (60.0, [0.1] * 9, ("warning", "none")),
            (599.9, [0.1] * 9, ("warning", "none")),
            (600.0, [0.1] * 9, ("critical", "pause")),
            (199.9, [20.0] * 9, None),
            (200.0, [20.0] * 9, ("warning", "none")),
            (1799.9, [], None),
            (1800.0, [], ("warning", "none")),
        ],
    )
    def test_silence_is_held_against_the_runs_own_steps(
        self, silent: float, past: list[float], expected: tuple[str, str] | None
    ) -> None:
        assert told(stall.inspect(StallReading(silent, past, False), LIMITS)) == expected

    def test_the_slowest_in_a_hundred_decides_and_not_the_slowest_of_all(self) -> None:
        many = StallReading(0.0, [0.1] * 300 + [7.0] * 2 + [500.0], False)
        assert limit_seconds(many, LIMITS) == 60.0
        slower = StallReading(0.0, [0.1] * 296 + [7.0] * 4, False)
        assert limit_seconds(slower, LIMITS) == 70.0

    def test_the_loaders_own_supervision_comes_first(self) -> None:
        waiting = StallReading(119.9, [0.1], True)
        assert stall.inspect(waiting, LIMITS) is None
        verdict = stall.inspect(StallReading(120.0, [0.1], True), LIMITS)
        assert verdict is not None
        assert "waiting for photos" in verdict.what
        assert verdict.limit == 120.0

    def test_a_checkpoint_that_is_written_is_no_stall(self) -> None:
        writing = StallReading(139.0, [0.1], False, save_seconds=140.0)
        assert stall.inspect(writing, LIMITS) is None
        assert stall.inspect(StallReading(140.0, [0.1], False, 140.0), LIMITS) is not None

    def test_it_says_where_to_look(self) -> None:
        verdict = stall.inspect(StallReading(90.0, [0.1], False), LIMITS)
        assert verdict is not None
        assert verdict.what == "no progress for 1 min 30 s, in the middle of a step"
        assert "engine.log" in verdict.advice
        assert (verdict.layer, verdict.observed, verdict.unit) == (1, 90.0, "seconds")


class TestMemory:
    @pytest.mark.parametrize(
        ("used", "expected"),
        [
            ([90, 90, 90], None),
            ([91, 91, 91], ("warning", "none")),
            ([97, 97, 97], ("warning", "none")),
            ([98, 98, 98], ("critical", "pause")),
            ([98, 50, 98], None),
            ([98, 98], None),
            ([50, 98, 98, 98], ("critical", "pause")),
        ],
    )
    def test_a_share_must_last_to_count(
        self, used: list[int], expected: tuple[str, str] | None
    ) -> None:
        assert told(memory.inspect(MemoryReading(used, 100), LIMITS)) == expected

    def test_an_unknown_total_is_no_finding(self) -> None:
        assert memory.inspect(MemoryReading([9, 9, 9], 0), LIMITS) is None

    def leaking(self, per_hour: float, *, used: float, noise: float = 0.0) -> MemoryReading:
        chance = random.Random(3)
        points = looks(
            [4 * GB + per_hour * GB * i / 720 + chance.gauss(0, noise * GB) for i in range(360)]
        )
        return MemoryReading([int(used * GB)] * 3, 32 * GB, points)

    @pytest.mark.parametrize("noise", [0.0, 0.05])
    def test_a_leak_is_foreseen(self, noise: float) -> None:
        verdict = memory.inspect_growth(self.leaking(8, used=20, noise=noise), LIMITS)
        assert told(verdict) == ("warning", "none")
        assert verdict is not None
        assert "grows by 8." in verdict.what or "grows by 7.9" in verdict.what
        assert verdict.observed is not None
        assert 4_700 < verdict.observed < 5_300  # 11 GB at 8 GB an hour

    def test_a_leak_that_takes_longer_than_the_horizon_is_left_alone(self) -> None:
        assert memory.inspect_growth(self.leaking(8, used=10), LIMITS) is None

    def test_a_rise_of_less_than_three_percent_is_left_alone(self) -> None:
        assert memory.inspect_growth(self.leaking(1.9, used=30.9), LIMITS) is None
        assert memory.inspect_growth(self.leaking(2.4, used=30.9), LIMITS) is not None

    def test_the_horizon_and_the_least_gain_are_held_exactly(self) -> None:
        # A staircase of exact numbers: a gain of 5 in 1,500 s, a slope of 1/300 a second.
        points = [(300.0 * block + 15.0 * i, float(block)) for block in range(6) for i in range(20)]
        trend = rising(points, least_seconds=1_200)
        assert trend is not None
        assert (trend.gain, trend.per_second) == (5.0, 1 / 300)
        limits = WatchConfig(max_memory_fraction=1.0, memory_forecast_seconds=3_000.0)
        at, before = MemoryReading([90] * 3, 100, points), MemoryReading([91] * 3, 100, points)
        assert memory.inspect_growth(at, limits) is None
        assert memory.inspect_growth(before, limits) is not None
        much = [(t, 3 * v / 5) for t, v in points]
        assert memory.inspect_growth(MemoryReading([99] * 3, 100, much), limits) is not None
        disk = StorageReading(90 + 15, 10, points)
        far = WatchConfig(disk_forecast_seconds=27_000.0)
        assert storage.inspect(disk, far) is None
        assert storage.inspect(StorageReading(104, 10, points), far) is not None

    def test_the_beginning_of_a_run_is_left_alone(self) -> None:
        short = self.leaking(8, used=30)
        cut = MemoryReading(short.used, short.total_bytes, short.engine[:240])
        assert memory.inspect_growth(cut, LIMITS) is None

    def test_memory_that_is_full_already_is_told_with_no_time_left(self) -> None:
        verdict = memory.inspect_growth(self.leaking(8, used=31.9), LIMITS)
        assert verdict is not None
        assert verdict.observed == 0.0


class TestStorage:
    @pytest.mark.parametrize(
        ("free", "expected"),
        [
            (3.0, None),
            (2.99, ("warning", "none")),
            (1.5, ("warning", "none")),
            (1.49, ("critical", "pause")),
        ],
    )
    def test_room_is_held_against_what_a_checkpoint_takes(
        self, free: float, expected: tuple[str, str] | None
    ) -> None:
        reading = StorageReading(int(free * GB), GB)
        assert told(storage.inspect(reading, LIMITS)) == expected

    def test_without_a_known_size_there_is_no_finding(self) -> None:
        assert storage.inspect(StorageReading(0, 0), LIMITS) is None

    def filling(self, per_hour: float, free: float, count: int = 200) -> StorageReading:
        taken = looks([per_hour * GB * i / 720 for i in range(count)])
        return StorageReading(int(free * GB), GB, taken)

    def test_a_disk_that_somebody_fills_is_foreseen(self) -> None:
        verdict = storage.inspect(self.filling(10, free=8), LIMITS)
        assert told(verdict) == ("warning", "none")
        assert verdict is not None
        assert verdict.observed == pytest.approx(6.5 / 10 * 3_600, rel=0.01)

    def test_a_disk_that_lasts_longer_than_the_horizon_is_left_alone(self) -> None:
        assert storage.inspect(self.filling(10, free=12), LIMITS) is None

    def test_ten_minutes_are_looked_at_first(self) -> None:
        assert storage.inspect(self.filling(40, free=8, count=121), LIMITS) is not None
        assert storage.inspect(self.filling(40, free=8, count=120), LIMITS) is None

    def test_a_log_that_grows_is_left_alone(self) -> None:
        assert storage.inspect(self.filling(1.5, free=3.0, count=200), LIMITS) is None

    def test_checkpoints_that_come_and_go_are_no_trend(self) -> None:
        taken = looks([GB * (i % 60 < 4) for i in range(360)])
        assert storage.inspect(StorageReading(4 * GB, GB, taken), LIMITS) is None


class TestPace:
    @pytest.mark.parametrize(
        ("speed", "past", "expected"),
        [
            (50.0, [100.0] * 3, None),
            (49.9, [100.0] * 3, ("warning", "none")),
            (1.0, [100.0] * 2, None),
            (49.9, [100.0, 100.0, 5_000.0], ("warning", "none")),
            (51.0, [100.0, 100.0, 5_000.0], None),
            (0.0, [0.0] * 3, None),
        ],
    )
    def test_an_epoch_is_held_against_the_median_of_those_before(
        self, speed: float, past: list[float], expected: tuple[str, str] | None
    ) -> None:
        assert told(pace.inspect(PaceReading(speed, past), LIMITS)) == expected

    @pytest.mark.parametrize(
        ("share", "seconds", "is_found"),
        [(0.51, 120.0, True), (0.5, 120.0, False), (0.9, 119.9, False)],
    )
    def test_a_wait_must_last_and_be_long(
        self, share: float, seconds: float, is_found: bool
    ) -> None:
        reading = SupplyReading(share, seconds, 2, 8, 0.3)
        assert (pace.inspect_supply(reading, LIMITS) is not None) == is_found

    @pytest.mark.parametrize(
        ("workers", "processors", "cpu", "words"),
        [
            (2, 8, 0.3, "compute.workers=4"),
            (6, 8, None, "compute.workers=8"),
            (0, 8, 0.84, "compute.workers=1"),
            (2, 8, 0.85, "store the photos smaller"),
            (8, 8, 0.2, "copy the photos to a local disk"),
        ],
    )
    def test_the_remedy_fits_the_cause(
        self, workers: int, processors: int, cpu: float | None, words: str
    ) -> None:
        verdict = pace.inspect_supply(SupplyReading(0.8, 200.0, workers, processors, cpu), LIMITS)
        assert verdict is not None
        assert words in verdict.advice


class TestMachine:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, None),
            ({"new_ecc_errors": 9}, None),
            ({"new_ecc_errors": 10}, ("critical", "pause")),
            ({"celsius": 95.0, "shutdown_celsius": 100.0}, None),
            ({"celsius": 95.1, "shutdown_celsius": 100.0}, ("critical", "pause")),
            ({"celsius": 99.0}, None),
            ({"slowed_looks": 1}, None),
            ({"slowed_looks": 2}, ("critical", "pause")),
            ({"silent_looks": 2}, None),
            ({"silent_looks": 3}, ("warning", "none")),
            ({"warm_looks": 9}, None),
        ],
    )
    def test_a_card_that_cannot_be_relied_on(
        self, changes: dict[str, float], expected: tuple[str, str] | None
    ) -> None:
        assert told(machine.inspect(CardReading(**changes), LIMITS)) == expected  # type: ignore[arg-type]

    @pytest.mark.parametrize(("count", "is_found"), [(1, False), (2, True)])
    def test_a_card_slowed_down_for_heat_is_only_told(self, count: int, is_found: bool) -> None:
        verdict = machine.inspect_heat(CardReading(warm_looks=count, celsius=84.0), LIMITS)
        assert (verdict is not None) == is_found
        assert told(verdict) in (None, ("warning", "none"))

    @pytest.mark.parametrize(("celsius", "words"), [(84.0, "at 84 °C"), (None, "temperature")])
    def test_the_temperature_is_named_where_it_is_known(
        self, celsius: float | None, words: str
    ) -> None:
        verdict = machine.inspect_heat(CardReading(warm_looks=2, celsius=celsius), LIMITS)
        assert verdict is not None
        assert verdict.what.endswith(words)


class TestTrends:
    def test_a_steady_rise_is_measured(self) -> None:
        trend = rising(looks([float(i) for i in range(120)], every=1.0), least_seconds=100)
        assert trend is not None
        assert trend.per_second == pytest.approx(1.0)
        assert trend.gain == pytest.approx(100.0)

    def test_spikes_do_not_move_it(self) -> None:
        values = [float(i) + (1e9 if i % 7 == 0 else 0.0) for i in range(120)]
        trend = rising(looks(values, every=1.0), least_seconds=100)
        assert trend is not None
        assert trend.per_second == pytest.approx(1.0, rel=0.1)

    @pytest.mark.parametrize("values", [[5.0] * 120, [float(-i) for i in range(120)]])
    def test_what_stands_or_falls_has_none(self, values: list[float]) -> None:
        assert rising(looks(values), least_seconds=100) is None

    @pytest.mark.parametrize(("last", "is_found"), [(0.22, True), (0.20, False)])
    def test_a_rise_that_levels_off_is_no_trend(self, last: float, is_found: bool) -> None:
        # Six flat blocks: the mean of the gains is (4 + last) / 5.
        heights = [0.0, 1.0, 2.0, 3.0, 4.0, 4.0 + last]
        values = [height for height in heights for _ in range(20)]
        assert (rising(looks(values), least_seconds=100) is not None) == is_found

    @pytest.mark.parametrize(("last", "is_found"), [(80.0, True), (79.9, False)])
    def test_the_least_share_of_the_mean_gain_is_held_exactly(
        self, last: float, is_found: bool
    ) -> None:
        # Gains of 19, 19, 19, 19 and 4, a quarter of their mean.
        values = [v for v in (0.0, 19.0, 38.0, 57.0, 76.0, last) for _ in range(20)]
        assert (rising(looks(values), least_seconds=100) is not None) == is_found

    def test_a_step_that_stays_up_is_no_trend(self) -> None:
        assert rising(looks([1.0] * 60 + [9.0] * 60), least_seconds=100) is None

    @pytest.mark.parametrize(("count", "is_found"), [(MIN_POINTS - 1, False), (MIN_POINTS, True)])
    def test_few_points_have_none(self, count: int, is_found: bool) -> None:
        points = looks([float(i) for i in range(count)])
        assert (rising(points, least_seconds=1) is not None) == is_found

    @pytest.mark.parametrize(("seconds", "is_found"), [(595.0, True), (595.1, False)])
    def test_a_short_time_has_none(self, seconds: float, is_found: bool) -> None:
        points = looks([float(i) for i in range(120)])
        assert (rising(points, least_seconds=seconds) is not None) == is_found


class TestNoFalseAlarms:
    """Made series of healthy runs, by the hundred: nothing is found in any."""

    @given(
        level=st.floats(0.05, 0.85),
        warm_up=st.floats(0.0, 0.10),
        noise=st.floats(0.0, 0.01),
        seed=st.integers(0, 10_000),
    )
    @settings(max_examples=150, deadline=None)
    def test_memory_that_fills_up_at_first_and_then_stays(
        self, level: float, warm_up: float, noise: float, seed: int
    ) -> None:
        chance = random.Random(seed)
        shares = [
            level + warm_up * (1 - 0.5 ** (i / 24)) + chance.gauss(0, noise) for i in range(720)
        ]
        for end in range(60, 720, 60):
            window = shares[max(0, end - 360) : end]
            used = [int(min(0.9, share) * 64 * GB) for share in window[-3:]]
            points = looks([share * 64 * GB for share in window])
            reading = MemoryReading(used, 64 * GB, points)
            assert memory.inspect(reading, LIMITS) is None
            assert memory.inspect_growth(reading, LIMITS) is None

    @given(st.integers(0, 10_000), st.floats(0.0, 0.08))
    @settings(max_examples=150, deadline=None)
    def test_epochs_on_a_machine_that_others_use_too(self, seed: int, noise: float) -> None:
        chance = random.Random(seed)
        speeds = [100 * max(0.6, chance.gauss(1, noise)) for _ in range(40)]
        for place in range(1, len(speeds)):
            assert pace.inspect(PaceReading(speeds[place], speeds[:place]), LIMITS) is None

    @given(st.integers(0, 10_000))
    @settings(max_examples=100, deadline=None)
    def test_steps_of_any_length_with_validations_between(self, seed: int) -> None:
        chance = random.Random(seed)
        usual = chance.choice([0.01, 0.3, 5.0, 40.0])
        past = [usual * chance.lognormvariate(0, 0.5) for _ in range(512)]
        silent = max(past)
        assert stall.inspect(StallReading(silent, past, False), LIMITS) is None

"""The watch beside the training: what it tells once, when it pauses, and that it costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecotui.commands import ContinueRun, PauseRun, append_command
from ecotui.config import RunConfig
from ecotui.engine import step, training_job
from ecotui.engine import watch as watch_module
from ecotui.engine.alarms import CALM_LOOKS, Alarms
from ecotui.engine.control import ASKED_TO_PAUSE, Control, Progress, StopFlag
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.known import GUARDS
from ecotui.engine.machine.cards import Card, CardGauge
from ecotui.engine.machine.gauges import Gauge
from ecotui.engine.observing import LEAST_READINGS, Pace, Waits
from ecotui.engine.watch import Watch
from ecotui.events import (
    CheckpointSaved,
    ConfigChanged,
    EpochFinished,
    EpochStarted,
    Event,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    RunContinued,
    RunFinished,
    RunPaused,
    SavingFailed,
    SavingRestored,
    Severity,
    StageFinished,
    StageStarted,
    StepsTaken,
)
from ecotui.guard_settings import GuardConfig
from ecotui.healing import MachineMeasured
from ecotui.watch_settings import WatchConfig
from tests.engine.harness import Harness, final_weights, of, same

GB = 1_000_000_000
HEALTHY = Gauge(cpu_fraction=0.5, used=4 * GB, total=16 * GB, engine=GB, disk_free=500 * GB)


def verdict(severity: Severity = "warning", action: Any = "none") -> Verdict:
    return Verdict(1, "disk_room", severity, "w", 1.0, 2.0, "u", "a", action)


def taken(speed: float | None = 100.0, waits: float | None = 0.1, step: int = 1) -> StepsTaken:
    return StepsTaken(
        epoch=1,
        step=step,
        step_in_epoch=1,
        num_steps=1,
        loss=1.0,
        accuracy=None,
        gradient_norm=None,
        learning_rate=0.1,
        images_per_second=speed,
        loader_wait_fraction=waits,
    )


def begun(epoch: int) -> EpochStarted:
    return EpochStarted(epoch=epoch, epochs=9, steps=9, step=0)


def ended(epoch: int) -> EpochFinished:
    return EpochFinished(
        epoch=epoch,
        step=1,
        train_loss=1.0,
        train_accuracy=None,
        seconds=1.0,
        images_per_second=1.0,
        learning_rate=0.1,
        num_set_aside=0,
    )


class TestAlarms:
    def make(self, **settings: Any) -> Alarms:
        self.events: list[Event] = []
        self.pauses: list[str] = []
        self.config = RunConfig.model_validate(settings)
        return Alarms(self.events.append, self.pauses.append, lambda: self.config, lambda: 7)

    def severities(self) -> list[str]:
        return [each.severity for each in of(GuardTripped, self.events)]

    def test_a_finding_is_told_once_until_it_gets_worse(self) -> None:
        alarms = self.make()
        assert [alarms.hear("disk_room", verdict()) for _ in range(3)] == [True, False, False]
        assert alarms.hear("disk_room", verdict("critical"))
        assert not alarms.hear("disk_room", verdict("warning"))
        assert not alarms.hear("disk_room", verdict("critical"))
        assert self.severities() == ["warning", "critical"]
        assert of(GuardTripped, self.events)[0].step == 7

    def test_it_is_over_after_some_calm_looks_running_and_told_anew_then(self) -> None:
        alarms = self.make()
        alarms.hear("disk_room", verdict())
        for _ in range(CALM_LOOKS - 1):
            alarms.hear("disk_room", None)
        alarms.hear("disk_room", verdict())
        for _ in range(CALM_LOOKS - 1):
            alarms.hear("disk_room", None)
        assert of(GuardRecovered, self.events) == []
        alarms.hear("disk_room", None)
        (recovered,) = of(GuardRecovered, self.events)
        assert (recovered.guard, recovered.layer) == ("disk_room", 1)
        assert not alarms.hear("disk_room", None)
        assert alarms.hear("disk_room", verdict())

    def test_a_critical_finding_asks_for_a_pause_with_its_name(self) -> None:
        self.make().hear("disk_room", verdict("critical", "pause"))
        assert self.pauses == ["w (disk_room)"]

    @pytest.mark.parametrize(
        "settings",
        [{"watch": {"pauses": False}}, {"guards": {"silenced": ["disk_room"]}}],
    )
    def test_one_that_may_not_act_is_told_all_the_same(self, settings: dict[str, Any]) -> None:
        self.make(**settings).hear("disk_room", verdict("critical", "pause"))
        assert self.pauses == []
        (trip,) = of(GuardTripped, self.events)
        assert (trip.severity, trip.action) == ("critical", "none")

    def test_findings_of_different_guards_do_not_meet(self) -> None:
        alarms = self.make()
        assert alarms.hear("disk_room", verdict())
        assert alarms.hear("host_memory", replace(verdict(), guard="host_memory"))


def test_everything_watched_can_be_silenced() -> None:
    watched = {"stall", "host_memory", "memory_growth", "disk_room", "throughput"}
    assert watched | {"starved_loader", "gpu_fault", "gpu_hot"} <= set(GUARDS)


class TestPace:
    def epoch(self, pace: Pace, number: int, speed: float, count: int = 9) -> Any:
        pace.begin(begun(number))
        for _ in range(count + 1):
            pace.note(taken(speed))
        return pace.end(ended(number))

    def test_the_first_epoch_is_no_measure(self) -> None:
        pace = Pace(freeze_epochs=0)
        assert self.epoch(pace, 1, 10.0) is None
        assert self.epoch(pace, 2, 100.0).past == ()
        assert self.epoch(pace, 3, 90.0).past == (100.0,)

    def test_the_first_reading_of_an_epoch_and_one_with_a_pause_are_left_out(self) -> None:
        pace = Pace(freeze_epochs=0)
        self.epoch(pace, 1, 1.0)
        pace.begin(begun(2))
        for speed in (1.0, *[100.0] * 5):
            pace.note(taken(speed))
        pace.skip()
        pace.note(taken(0.001))
        reading = pace.end(ended(2))
        assert reading is not None
        assert reading.images_per_second == 100.0

    def test_a_reading_with_a_pause_in_it_does_not_count_as_one(self) -> None:
        pace = Pace(freeze_epochs=0)
        self.epoch(pace, 1, 1.0)
        pace.begin(begun(2))
        for _ in range(LEAST_READINGS):  # of which the first is left out
            pace.note(taken(100.0))
        pace.skip()
        pace.note(taken(100.0))
        assert pace.end(ended(2)) is None

    @pytest.mark.parametrize(
        ("count", "is_judged"), [(LEAST_READINGS - 1, False), (LEAST_READINGS, True)]
    )
    def test_a_short_epoch_tells_nothing(self, count: int, is_judged: bool) -> None:
        pace = Pace(freeze_epochs=0)
        self.epoch(pace, 1, 100.0)
        assert (self.epoch(pace, 2, 100.0, count) is not None) == is_judged

    @pytest.mark.parametrize(
        ("key", "is_forgotten"),
        [
            ("train.micro_batch_size", True),
            ("train.batch_size", True),
            ("compute.workers", True),
            ("train.learning_rate", False),
        ],
    )
    def test_a_setting_that_decides_the_pace_begins_a_new_past(
        self, key: str, is_forgotten: bool
    ) -> None:
        pace = Pace(freeze_epochs=0)
        for number in (1, 2, 3):
            self.epoch(pace, number, 100.0)
        pace.change(ConfigChanged(key=key, old="1", new="2", step=1, why="w"))
        reading = self.epoch(pace, 4, 10.0)
        assert (reading is None) == is_forgotten

    def test_the_whole_network_is_not_held_against_the_classifier_alone(self) -> None:
        pace = Pace(freeze_epochs=3)
        for number in (1, 2, 3):
            self.epoch(pace, number, 300.0)
        assert self.epoch(pace, 4, 100.0) is None
        assert self.epoch(pace, 5, 100.0).past == ()


class TestWaits:
    def test_the_share_is_weighted_by_time_over_the_last_minutes(self) -> None:
        now = [0.0]
        waits = Waits(120.0, lambda: now[0])
        assert waits.note(taken(waits=1.0)) is None  # the first reading of an epoch
        for seconds, share, expected in (
            (60.0, 0.0, None),
            (59.9, 1.0, None),
            (0.1, 1.0, (0.5, 120.0)),
            (60.0, 1.0, (1.0, 120.0)),
        ):
            now[0] += seconds
            assert waits.note(taken(waits=share)) == pytest.approx(expected)

    def test_a_pause_is_no_wait(self) -> None:
        now = [0.0]
        waits = Waits(10.0, lambda: now[0])
        waits.note(taken())
        waits.skip()
        now[0] += 1_000.0
        assert waits.note(taken(waits=0.9)) is None
        now[0] += 9.9
        assert waits.note(taken(waits=0.2)) is None


class FakeGauges:
    def __init__(self) -> None:
        self.gauge: Any = HEALTHY

    def look(self) -> Gauge:
        if isinstance(self.gauge, Exception):
            raise self.gauge
        gauge: Gauge = self.gauge
        return gauge


class Watched:
    """A watch with everything around it made up."""

    def __init__(self, tmp_path: Path, *, card: Card | None = None, **settings: Any) -> None:
        self.events: list[Event] = []
        self.config = RunConfig.model_validate(settings)
        self.control = Control(tmp_path / "commands.jsonl", 0, self.events.append, StopFlag())
        self.gauges = FakeGauges()
        self.dumps = 0
        self.now = 0.0
        self.watch = Watch(
            self.events.append,
            self.control,
            lambda: self.config,
            self.gauges,  # type: ignore[arg-type]
            card=card,
            state_bytes=GB,
            dump=self._dump,
            clock=lambda: self.now,
        )
        self.watch(StageStarted(stage="train", total=9, unit="steps"))

    def _dump(self) -> None:
        self.dumps += 1

    def look(self, times: int = 1, **gauge: Any) -> None:
        self.gauges.gauge = replace(HEALTHY, **gauge)
        for _ in range(times):
            self.now += 5.0
            self.watch.look()

    def trips(self) -> list[tuple[str, str]]:
        return [(each.guard, each.severity) for each in of(GuardTripped, self.events)]

    def wish(self) -> str | None:
        return self.control._pause_wish


class TestWatch:
    def test_the_machine_is_measured_while_it_trains(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.control.progress.note(12)
        watched.look()
        (measured,) = of(MachineMeasured, watched.events)
        assert measured.step == 12
        assert (measured.memory_used_bytes, measured.memory_total_bytes) == (4 * GB, 16 * GB)
        assert (measured.cpu_fraction, measured.engine_memory_bytes) == (0.5, GB)
        assert measured.disk_free_bytes == 500 * GB
        assert measured.gpu_fraction is None

    @pytest.mark.parametrize(
        "event",
        [
            StageFinished(stage="train", seconds=1.0),
            RunPaused(step=1, why="w"),
            RunFinished(
                why="epochs",
                epochs_done=1,
                epochs_planned=1,
                step=1,
                best_checkpoint=None,
                seconds=1.0,
            ),
        ],
    )
    def test_it_is_not_measured_otherwise(self, tmp_path: Path, event: Event) -> None:
        watched = Watched(tmp_path)
        watched.watch(event)
        watched.look()
        assert of(MachineMeasured, watched.events) == []
        assert watched.events[-1] is event

    def test_it_goes_on_after_a_pause(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.watch(RunPaused(step=1, why="w"))
        watched.watch(RunContinued(step=1, seconds=1.0))
        watched.look()
        assert len(of(MachineMeasured, watched.events)) == 1

    def test_a_healthy_machine_gives_no_alarm(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        for number in range(800):
            watched.look(engine=GB + number % 7, disk_free=500 * GB - number)
        assert watched.trips() == []
        assert watched.wish() is None

    def test_a_stall_dumps_the_stacks_once_and_is_over_with_the_next_step(
        self, tmp_path: Path
    ) -> None:
        watched = Watched(tmp_path)
        progress = watched.control.progress
        for number in range(1, 20):
            progress.note(number)
        progress.last_progress_seconds = time.monotonic() - 101.0  # a save may take 100 s here
        watched.look(3)
        assert watched.trips() == [("stall", "warning")]
        assert watched.dumps == 1
        progress.note(21)
        watched.look()
        assert [each.guard for each in of(GuardRecovered, watched.events)] == ["stall"]
        assert watched.wish() is None

    def test_a_pause_is_no_stall(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.control.progress.last_progress_seconds = time.monotonic() - 1e6
        watched.watch(RunPaused(step=1, why="w"))
        watched.look()
        assert watched.trips() == []

    def test_the_first_step_may_take_half_an_hour(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.control.progress.last_progress_seconds = time.monotonic() - 1_700.0
        watched.look()
        assert watched.trips() == []

    def test_full_memory_pauses_the_run(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.look(2, used=16 * GB)
        assert watched.wish() is None
        watched.look(1, used=16 * GB)
        assert watched.trips() == [("host_memory", "critical")]
        assert watched.wish() is not None
        assert "(host_memory)" in (watched.wish() or "")

    def test_a_leak_is_foreseen(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        for number in range(300):
            watched.look(engine=GB + number * 20_000_000, used=8 * GB)
        assert ("memory_growth", "warning") in watched.trips()

    def test_room_is_held_against_the_last_checkpoint_and_its_best_model(
        self, tmp_path: Path
    ) -> None:
        watched = Watched(tmp_path)
        saved = CheckpointSaved(
            path="p", epoch=1, step=1, num_bytes=3 * GB, seconds=1.0, reason="epoch"
        )
        watched.look(disk_free=5 * GB)  # of a state of 1 GB, with its best model 1.33 GB
        assert watched.trips() == []
        watched.watch(saved)
        watched.look(disk_free=5 * GB)
        assert watched.trips() == [("disk_room", "critical")]

    def test_a_run_that_waits_for_its_disk_is_not_paused_on_top(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        failing = SavingFailed(step=1, what="w", remedy="r", last_checkpoint=None, waits=True)
        watched.watch(failing)
        watched.look(3, disk_free=10)
        assert watched.trips() == []
        watched.look(3, disk_free=10, used=16 * GB)
        assert watched.trips() == [("host_memory", "critical")]
        assert watched.wish() is None
        watched.watch(SavingRestored(step=1))
        watched.look(disk_free=10)
        assert watched.trips()[-1] == ("disk_room", "critical")
        assert watched.wish() is not None

    def test_the_run_does_not_die_of_its_watch(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(tmp_path)

        def failing(self: Pace, event: StepsTaken) -> None:
            raise ValueError("odd")

        monkeypatch.setattr(Pace, "note", failing)
        event = taken()
        watched.watch(event)
        watched.watch(event)
        assert watched.events.count(event) == 2
        assert [each.code for each in of(HealthAlerted, watched.events)] == ["watch_failed"]

    def test_a_gauge_that_tells_nothing_finds_nothing(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        watched.look(9, used=None, total=None, engine=None, disk_free=None, cpu_fraction=None)
        assert watched.trips() == []

    def test_a_slow_epoch_is_told_at_its_end(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path)
        for number, speed in enumerate((1.0, 100.0, 100.0, 100.0, 40.0, 100.0), start=1):
            watched.watch(begun(number))
            for _ in range(9):
                watched.watch(taken(speed))
            watched.watch(ended(number))
        assert watched.trips() == [("throughput", "warning")]
        assert [each.guard for each in of(GuardRecovered, watched.events)] == ["throughput"]

    def test_a_starved_loader_is_told_with_the_remedy_that_fits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch_module, "usable_processors", lambda: 8)
        watched = Watched(tmp_path, compute={"workers": 2})
        for _ in range(30):
            watched.now += 5.0
            watched.watch(taken(waits=0.8))
        (trip,) = of(GuardTripped, watched.events)
        assert trip.guard == "starved_loader"
        assert "compute.workers=4" in trip.advice

    def card(self, *gauges: CardGauge) -> tuple[Card, Callable[[Watched], None]]:
        card = Card("0")

        def play(watched: Watched) -> None:
            for number, gauge in enumerate(gauges, start=1):
                card.gauge = replace(gauge, num_looks=number)
                watched.look(2)  # twice: the card is asked less often

        return card, play

    def test_a_card_is_measured_with_the_machine(self, tmp_path: Path) -> None:
        card, play = self.card(
            CardGauge(0.9, 2 * GB, 8 * GB, celsius=61.0, shutdown_celsius=100.0, watts=200.0)
        )
        watched = Watched(tmp_path, card=card)
        watched.look()
        play(watched)
        first, last = of(MachineMeasured, watched.events)[:2]
        assert first.gpu_fraction is None
        assert (last.gpu_fraction, last.gpu_temperature_celsius) == (0.9, 61.0)
        assert (last.gpu_memory_used_bytes, last.gpu_memory_total_bytes) == (2 * GB, 8 * GB)
        assert last.gpu_power_watts == 200.0
        assert watched.trips() == []

    @pytest.mark.parametrize(
        ("gauges", "expected"),
        [
            ([CardGauge(bad_ecc=40)] * 3, []),
            ([CardGauge(bad_ecc=40), CardGauge(bad_ecc=50)], [("gpu_fault", "critical")]),
            ([CardGauge(bad_ecc=40), CardGauge(bad_ecc=49)], []),
            ([CardGauge(is_slowed=True)] * 2, [("gpu_fault", "critical")]),
            ([CardGauge(is_slowed=True), CardGauge(), CardGauge(is_slowed=True)], []),
            ([CardGauge(is_warm=True)] * 2, [("gpu_hot", "warning")]),
            (
                [CardGauge(celsius=96.0, shutdown_celsius=100.0)],
                [("gpu_fault", "critical")],
            ),
            ([CardGauge(num_silent=3)], [("gpu_fault", "warning")]),
        ],
    )
    def test_a_card_that_is_hot_slowed_down_or_faulty(
        self, tmp_path: Path, gauges: list[CardGauge], expected: list[tuple[str, str]]
    ) -> None:
        card, play = self.card(*gauges)
        watched = Watched(tmp_path, card=card)
        play(watched)
        assert watched.trips() == expected

    def test_the_card_is_asked_for_as_long_as_the_watch_looks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(Card, "start", lambda self: told.append("start"))
        monkeypatch.setattr(Card, "stop", lambda self: told.append("stop"))
        with Watched(tmp_path, card=Card("0")).watch.looking():
            assert told == ["start"]
        assert told == ["start", "stop"]
        with Watched(tmp_path).watch.looking():
            pass
        assert told == ["start", "stop"]

    def test_switched_off_it_neither_looks_nor_listens(self, tmp_path: Path) -> None:
        watched = Watched(tmp_path, watch={"enabled": False})
        with watched.watch.looking():
            assert "watch" not in {thread.name for thread in threading.enumerate()}
        watched.watch(StageStarted(stage="train", total=1, unit="steps"))
        watched.look()
        assert of(MachineMeasured, watched.events) == []

    def test_a_watch_that_fails_says_so_once_and_tries_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched = Watched(tmp_path)
        monkeypatch.setattr(WatchConfig, "interval_seconds", 0.01, raising=False)
        object.__setattr__(
            watched.config,
            "watch",
            watched.config.watch.model_copy(update={"interval_seconds": 0.01}),
        )
        watched.gauges.gauge = ValueError("odd\x1b")
        with watched.watch.looking():
            wait_for(lambda: bool(of(HealthAlerted, watched.events)))
            time.sleep(0.05)
            watched.gauges.gauge = HEALTHY
            wait_for(lambda: bool(of(MachineMeasured, watched.events)))
        (alert,) = of(HealthAlerted, watched.events)
        assert alert.code == "watch_failed"
        assert "ValueError: odd\\e" in alert.message


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestProgress:
    def test_what_a_step_took_is_remembered(self) -> None:
        progress = Progress()
        progress.note(0)
        assert not progress.step_seconds
        progress.note(1)
        progress.note(1)
        progress.note(2)
        progress.note(9)  # a resumption
        assert len(progress.step_seconds) == 2
        assert all(0 <= seconds < 5 for seconds in progress.step_seconds)

    def test_it_is_bounded(self) -> None:
        progress = Progress()
        for number in range(2_000):
            progress.note(number)
        assert len(progress.step_seconds) == 512

    def test_a_look_while_photos_are_waited_for_is_no_progress(self, tmp_path: Path) -> None:
        control = Control(tmp_path / "commands.jsonl", 0, lambda _: None, StopFlag())
        control.poll(3)
        control.progress.last_progress_seconds -= 50.0
        control.poll(4, is_waiting=True)
        assert control.progress.silence_seconds() >= 50.0
        assert control.progress.is_waiting()
        assert control.progress.step == 3

    def test_waiting_ends_with_progress_and_with_silence(self) -> None:
        progress = Progress()
        assert not progress.is_waiting()
        progress.note_waiting()
        assert progress.is_waiting()
        progress.waited_seconds -= 5.0
        progress.last_progress_seconds -= 50.0
        assert not progress.is_waiting()
        progress.note_waiting()
        progress.note(1)
        assert not progress.is_waiting()


def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watch look every few milliseconds, which no configuration allows."""
    real = Watch.looking

    def looking(self: Watch) -> Any:
        own = self._config

        def often() -> RunConfig:
            # A copy: the plan looks at the run's own, and whether it may be.
            config = own()
            watch = config.watch.model_copy(update={"interval_seconds": 0.01})
            return config.model_copy(update={"watch": watch})

        monkeypatch.setattr(self, "_config", often)
        return real(self)

    monkeypatch.setattr(Watch, "looking", looking)


class TestInARun:
    """Whole runs, watched hundreds of times as often as is allowed."""

    def test_a_healthy_run_gives_no_alarm_and_the_same_bits_as_one_unwatched(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training_job, "Gauges", lambda path: FakeGauges())
        fast(monkeypatch)
        run, events = harness.train()
        assert of(MachineMeasured, events)
        assert of(GuardTripped, events) == [
            trip for trip in of(GuardTripped, events) if trip.layer == 7
        ]
        assert of(HealthAlerted, events) == []
        unwatched, silent = harness.train(watch={"enabled": False})
        assert of(MachineMeasured, silent) == []
        assert same(final_weights(run), final_weights(unwatched))

    def test_a_disk_that_fills_saves_and_pauses_and_the_run_goes_on_when_asked(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gauges = FakeGauges()
        monkeypatch.setattr(training_job, "Gauges", lambda path: gauges)
        fast(monkeypatch)
        run = harness.new(train={"epochs": 2})
        seen: list[str] = []

        def hook(event: Event) -> None:
            if isinstance(event, EpochFinished) and event.epoch == 1:
                gauges.gauge = replace(HEALTHY, disk_free=10)
                wait_for(lambda: "guard_tripped" in seen)
            if isinstance(event, GuardTripped) and event.guard == "disk_room":
                seen.append(event.kind)
            if isinstance(event, RunPaused | CheckpointSaved | RunContinued):
                seen.append(event.kind)
            if isinstance(event, CheckpointSaved) and event.reason == "request":
                gauges.gauge = HEALTHY
                append_command(run.commands, ContinueRun())

        events, code = harness.run(run, hook)
        assert code == 0, events[-1]
        tripped = seen.index("guard_tripped")
        paused = seen.index("run_paused")
        assert seen.index("checkpoint_saved", paused) < seen.index("run_continued")
        assert tripped < paused
        (pause,) = of(RunPaused, events)
        assert "(disk_room)" in pause.why
        (trip,) = [each for each in of(GuardTripped, events) if each.guard == "disk_room"]
        assert (trip.action, trip.severity) == ("pause", "critical")
        undisturbed, _ = harness.train(train={"epochs": 2})
        assert same(final_weights(run), final_weights(undisturbed))

    def test_a_step_that_hangs_is_told_while_it_hangs(
        self,
        harness: Harness,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(training_job, "Gauges", lambda path: FakeGauges())
        fast(monkeypatch)
        real = step.Stepper.compute_gradients
        told = threading.Event()

        def hanging(self: step.Stepper, batch: Any, number: int) -> Any:
            if number == 3:
                assert told.wait(20.0)
            return real(self, batch, number)

        monkeypatch.setattr(step.Stepper, "compute_gradients", hanging)

        def hook(event: Event) -> None:
            if isinstance(event, GuardTripped) and event.guard == "stall":
                told.set()

        run = harness.new(train={"epochs": 1}, watch={"stall_seconds": 0.3, "stall_factor": 1.0})
        events, code = harness.run(run, hook)
        assert code == 0
        stalls = [each for each in of(GuardTripped, events) if each.guard == "stall"]
        assert stalls
        assert stalls[0].step == 3
        assert "hanging" in capfd.readouterr().err
        assert any(each.guard == "stall" for each in of(GuardRecovered, events))

    def test_a_run_that_is_asked_to_pause_is_not_said_to_have_stalled(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks: list[float] = []

        class Counted(FakeGauges):
            def look(self) -> Gauge:
                looks.append(time.monotonic())
                return super().look()

        monkeypatch.setattr(training_job, "Gauges", lambda path: Counted())
        fast(monkeypatch)
        run = harness.new(train={"epochs": 2}, watch={"stall_seconds": 0.3, "stall_factor": 1.0})

        def hook(event: Event) -> None:
            if isinstance(event, EpochFinished) and event.epoch == 1:
                append_command(run.commands, PauseRun())
            if isinstance(event, RunPaused):
                looks.clear()
                threading.Thread(target=go_on).start()

        def go_on() -> None:
            wait_for(lambda: len(looks) > 2 and looks[-1] - looks[0] > 1.0)
            append_command(run.commands, ContinueRun())

        events, code = harness.run(run, hook)
        assert code == 0
        (went_on,) = of(RunContinued, events)
        assert went_on.seconds > 1.0
        assert [each for each in of(GuardTripped, events) if each.guard == "stall"] == []


class TestPauseOfTheWatch:
    def test_a_wish_is_granted_at_the_next_look_and_its_reason_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[Event] = []
        commands = tmp_path / "commands.jsonl"

        def emit(event: Event) -> None:
            events.append(event)
            if isinstance(event, RunPaused):
                append_command(commands, ContinueRun())

        monkeypatch.setattr("ecotui.engine.control.COMMANDS_INTERVAL_SECONDS", 0.0)
        control = Control(commands, 0, emit, StopFlag())
        control.wish_pause("too hot (gpu_fault)")
        control.poll(5)
        (pause,) = of(RunPaused, events)
        assert (pause.step, pause.why) == (5, "too hot (gpu_fault)")
        assert control.take_save_request()
        control.poll(6)
        assert len(of(RunPaused, events)) == 1
        control._is_paused = True
        control.poll(7)
        assert of(RunPaused, events)[1].why == ASKED_TO_PAUSE

    def test_after_the_training_there_is_nothing_to_save(self, tmp_path: Path) -> None:
        control = Control(tmp_path / "commands.jsonl", 0, lambda event: None, StopFlag())
        control.close_desk("over")
        control.wish_pause("w")
        control._grant_pause()
        assert not control.take_save_request()

    def test_guards_that_are_silenced_by_name_are_known(self) -> None:
        assert GuardConfig(silenced=("stall",)).silenced == ("stall",)

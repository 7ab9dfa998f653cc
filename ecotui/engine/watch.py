"""The watch beside the training: is there progress, and are machine, memory and disk sound?

A thread of low priority looks every few seconds. It touches nothing of the training: it
measures, asks the guards, tells, and asks the control for a checkpoint and a pause. What
the run states itself is read as it passes, so that no step costs anything.
"""

from __future__ import annotations

import faulthandler
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ecotui.config import RunConfig
from ecotui.engine.alarms import Alarms
from ecotui.engine.background import lower_priority
from ecotui.engine.control import Control
from ecotui.engine.emit import Emit, Throttle
from ecotui.engine.guards import machine, memory, pace, stall, storage
from ecotui.engine.guards.machine import CardReading
from ecotui.engine.guards.memory import MemoryReading
from ecotui.engine.guards.pace import SupplyReading
from ecotui.engine.guards.stall import StallReading
from ecotui.engine.guards.storage import StorageReading
from ecotui.engine.machine.cards import Card, CardGauge
from ecotui.engine.machine.gauges import Gauge, Gauges
from ecotui.engine.machine.processors import usable_processors
from ecotui.engine.observing import Pace, Waits
from ecotui.events import (
    TERMINAL_KINDS,
    CheckpointSaved,
    ConfigChanged,
    EpochFinished,
    EpochStarted,
    Event,
    HealthAlerted,
    RunContinued,
    RunPaused,
    SavingFailed,
    SavingRestored,
    StageFinished,
    StageStarted,
    StepsTaken,
)
from ecotui.healing import MachineMeasured
from ecotui.text import visible

MAX_POINTS = 360
"""Looks that are kept for trends: half an hour at five seconds each."""
SLOW_BYTES_A_SECOND = 20e6
"""How fast a checkpoint is written at least, before one was measured."""
BEST_SHARE = 4 / 3
"""Of a checkpoint's size: with it, the best model is saved, its weights alone."""
SLOW_SAVES = 2.0
"""A save may take so many times as long as the longest one so far."""
OLD_INTERVAL_SECONDS = 30.0
"""Between two measurements that are stated, after days; all of them are judged."""

FROZEN_SECONDS = 60.0
"""Beyond the interval: a watch that cannot run for so long, as native code holds Python up,
leaves the stacks to a timer that needs no Python."""


def _dump_stacks() -> None:
    """Write the stacks of all threads to stderr, which is engine.log."""
    faulthandler.dump_traceback(file=2, all_threads=True)


class Watch:
    """Watches one run; what is stated goes through it.

    Args:
        emit: Where the facts go.
        control: Knows the progress, and is asked to pause.
        config: Gives the settings as they are, which change in mid-run.
        gauges: Of the machine.
        card: The GPU that is trained on; None without one.
        state_bytes: Size of a checkpoint, about, until one is saved.
        dump: Writes down where every thread stands.
        clock: Monotonic seconds.
    """

    def __init__(  # noqa: PLR0913
        self,
        emit: Emit,
        control: Control,
        config: Callable[[], RunConfig],
        gauges: Gauges,
        *,
        card: Card | None = None,
        state_bytes: int = 0,
        dump: Callable[[], None] = _dump_stacks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._control = control
        self._config = config
        self._gauges = gauges
        self._card = card
        self._dump = dump
        self._clock = clock
        self._alarms = Alarms(emit, self._ask_to_pause, config, lambda: control.progress.step)
        self._pace = Pace(config().train.freeze_epochs)
        self._waits = Waits(config().watch.starved_seconds, clock)
        self._save_bytes = state_bytes * BEST_SHARE
        self._save_seconds = state_bytes / SLOW_BYTES_A_SECOND
        self._is_training = self._is_paused = self._has_ended = self._has_failed = False
        self._is_unsaved = False
        self._cpu_fraction: float | None = None
        self._used: deque[int] = deque(maxlen=memory.NUM_LOOKS)
        self._engine: deque[tuple[float, float]] = deque(maxlen=MAX_POINTS)
        self._taken: deque[tuple[float, float]] = deque(maxlen=MAX_POINTS)
        self._throttle = Throttle(0.0, clock, OLD_INTERVAL_SECONDS)
        self._first_ecc: int | None = None
        self._slowed = self._warm = self._num_card_looks = 0
        self._stopped = threading.Event()

    def __call__(self, event: Event) -> None:
        """Pass an event on, and take in what it tells."""
        self._emit(event)
        if not self._config().watch.enabled:
            return
        try:
            self._observe(event)
        except Exception as error:  # the run does not die of its watch
            self._tell_failure(error)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again during a block, in a thread."""
        if not self._config().watch.enabled:
            yield
            return
        if self._card is not None:
            self._card.start()
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join(timeout=1.0)
            faulthandler.cancel_dump_traceback_later()
            if self._card is not None:
                self._card.stop()

    def look(self) -> None:
        """Measure everything once, and judge it.

        Emits:
            MachineMeasured, GuardTripped, GuardRecovered.
        """
        if self._has_ended:
            return
        gauge = self._gauges.look()
        self._cpu_fraction = gauge.cpu_fraction
        card = None if self._card is None else self._card.gauge
        is_stated = self._is_training and not self._is_paused
        if is_stated and self._throttle.is_due():
            self._emit(_measured(gauge, card, self._control.progress.step))
        self._judge_stall()
        self._judge_memory(gauge)
        self._judge_disk(gauge)
        if card is not None:
            self._judge_card(card)

    def _run(self) -> None:
        lower_priority()
        interval = self._config().watch.interval_seconds
        while not self._stopped.wait(interval):
            faulthandler.dump_traceback_later(interval + FROZEN_SECONDS, file=2)
            try:
                self.look()
            except Exception as error:  # told, and tried again at the next look
                self._tell_failure(error)

    def _tell_failure(self, error: Exception) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        traceback.print_exception(error)
        said = visible(f"{type(error).__name__}: {error}", limit=200)
        self._emit(
            HealthAlerted(
                severity="note",
                code="watch_failed",
                message=f"the machine cannot be watched at the moment ({said})",
                advice="the training is not touched by it; engine.log has the whole story",
            )
        )

    def _observe(self, event: Event) -> None:
        match event:
            case StepsTaken():
                self._pace.note(event)
                self._judge_supply(event)
            case EpochStarted():
                self._pace.begin(event)
                self._waits.skip()
            case EpochFinished():
                reading = self._pace.end(event)
                if reading is not None:
                    found = pace.inspect(reading, self._config().watch)
                    self._alarms.hear(pace.THROUGHPUT, found, calm_looks=1)
            case ConfigChanged():
                self._pace.change(event)
            case CheckpointSaved():
                self._save_bytes = event.num_bytes * BEST_SHARE
                self._save_seconds = max(self._save_seconds, event.seconds)
            case RunPaused() | RunContinued():
                self._is_paused = isinstance(event, RunPaused)
                self._pace.skip()
                self._waits.skip()
            case SavingFailed() | SavingRestored():
                self._is_unsaved = isinstance(event, SavingFailed)
            case StageStarted(stage="train"):
                self._control.progress.step_seconds.clear()
                self._is_training = True
            case StageFinished(stage="train"):
                self._is_training = False
            case _:
                self._has_ended = self._has_ended or event.kind in TERMINAL_KINDS

    def _ask_to_pause(self, why: str) -> None:
        """Ask for a checkpoint and a pause, unless training waits for the disk anyway.

        It goes on by itself then, as soon as it is saved, which a second save would disturb.
        """
        if not self._is_unsaved:
            self._control.wish_pause(why)

    def _judge_stall(self) -> None:
        progress, limits = self._control.progress, self._config().watch
        if self._is_paused:
            return
        reading = StallReading(
            silent_seconds=progress.silence_seconds(),
            # Copied in one go: the training thread adds to it.
            past_seconds=tuple(progress.step_seconds),
            is_waiting=progress.is_waiting(),
            save_seconds=SLOW_SAVES * self._save_seconds,
        )
        found = stall.inspect(reading, limits)
        if self._alarms.hear(stall.STALL, found, calm_looks=1) and found is not None:
            self._dump()

    def _judge_memory(self, gauge: Gauge) -> None:
        if gauge.used is None or not gauge.total:
            return
        self._used.append(gauge.used)
        if gauge.engine is not None and self._is_training:
            self._engine.append((self._clock(), float(gauge.engine)))
        reading = MemoryReading(tuple(self._used), gauge.total, tuple(self._engine))
        limits = self._config().watch
        self._alarms.hear(memory.FULL, memory.inspect(reading, limits))
        self._alarms.hear(memory.GROWTH, memory.inspect_growth(reading, limits))

    def _judge_disk(self, gauge: Gauge) -> None:
        if gauge.disk_free is None or self._is_unsaved:  # that is told already
            return
        self._taken.append((self._clock(), -float(gauge.disk_free)))
        reading = StorageReading(gauge.disk_free, int(self._save_bytes), tuple(self._taken))
        self._alarms.hear(storage.ROOM, storage.inspect(reading, self._config().watch))

    def _judge_card(self, card: CardGauge) -> None:
        if card.num_looks == self._num_card_looks:  # the card is asked less often than the rest
            return
        self._num_card_looks = card.num_looks
        if self._first_ecc is None:
            self._first_ecc = card.bad_ecc
        self._slowed = self._slowed + 1 if card.is_slowed else 0
        self._warm = self._warm + 1 if card.is_warm else 0
        reading = CardReading(
            new_ecc_errors=max(0, (card.bad_ecc or 0) - (self._first_ecc or 0)),
            celsius=card.celsius,
            shutdown_celsius=card.shutdown_celsius,
            slowed_looks=self._slowed,
            warm_looks=self._warm,
            silent_looks=card.num_silent,
        )
        limits = self._config().watch
        self._alarms.hear(machine.FAULT, machine.inspect(reading, limits))
        self._alarms.hear(machine.HOT, machine.inspect_heat(reading, limits))

    def _judge_supply(self, event: StepsTaken) -> None:
        share = self._waits.note(event)
        if share is None:
            return
        config = self._config()
        workers = config.compute.workers
        reading = SupplyReading(
            wait_fraction=share[0],
            seconds=share[1],
            workers=workers if isinstance(workers, int) else 0,
            processors=usable_processors(),
            cpu_fraction=self._cpu_fraction,
        )
        self._alarms.hear(pace.STARVED, pace.inspect_supply(reading, config.watch))


def _measured(gauge: Gauge, card: CardGauge | None, step: int) -> MachineMeasured:
    seen = card or CardGauge()
    return MachineMeasured(
        step=step,
        cpu_fraction=gauge.cpu_fraction,
        memory_used_bytes=gauge.used,
        memory_total_bytes=gauge.total,
        engine_memory_bytes=gauge.engine,
        disk_free_bytes=gauge.disk_free,
        gpu_fraction=seen.busy_fraction,
        gpu_memory_used_bytes=seen.used_bytes,
        gpu_memory_total_bytes=seen.total_bytes,
        gpu_temperature_celsius=seen.celsius,
        gpu_power_watts=seen.watts,
    )

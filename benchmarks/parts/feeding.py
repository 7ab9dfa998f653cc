"""A run whose engine is played: its lock is held, and its events are appended by the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parts.day_long import write
from ecotui import lock
from ecotui.events import Event, Heartbeat, StageAdvanced, StepsTaken
from ecotui.paths import RunDir

NUM_BEFORE = 400
"""Events that are there before the first one is fed: an epoch under way, with some alerts."""


@contextmanager
def played_run(folder: Path) -> Iterator[RunDir]:
    """Make a run that goes on, as its readers see it, for as long as the block lasts."""
    run = RunDir(folder / "runs" / "digits-20260101-000000-abcd")
    run.path.mkdir(parents=True)
    (run.path / "config.toml").write_text("")
    run.job.write_text('{"kind":"train"}')
    write(run.events, NUM_BEFORE)
    held = lock.acquire(run.lock)
    try:
        yield run
    finally:
        held.release()


def step(number: int, *, num_steps: int = 1) -> StepsTaken:
    """Return what an engine states of its steps."""
    return StepsTaken(
        epoch=1,
        step=number,
        step_in_epoch=number % 482,
        num_steps=num_steps,
        loss=2.0 / (1 + number / 1_000),
        accuracy=0.5 + (number % 100) / 1_000,
        gradient_norm=0.8,
        learning_rate=5e-4,
        images_per_second=812.5 + number % 50,
        loader_wait_fraction=0.03,
    )


def line(event: Event, seq: int) -> bytes:
    """Return an event as the engine writes it, of now."""
    stamp = {"seq": seq, "at": time.time(), "since_start": float(seq)}
    return event.model_copy(update=stamp).model_dump_json().encode() + b"\n"


def fast_engine(tick: int) -> list[Event]:
    """Return what a run of 1,000 steps a second states in half a second."""
    done = 200 + tick * 500
    told: list[Event] = [step(done, num_steps=500), StageAdvanced(stage="train", done=done)]
    return [*told, Heartbeat(step=done, seconds_since_progress=0.0)] if tick % 4 == 0 else told


def every_frame(tick: int) -> list[Event]:
    """Return steps as they would come where every frame of ten a second has news."""
    return [step(200 + tick)]


@contextmanager
def feeding(
    run: RunDir, events: Callable[[int], list[Event]], interval_seconds: float
) -> Iterator[None]:
    """Append what `events` returns for 0, 1, 2 and so on, one of them an interval."""
    is_over = threading.Event()

    def feed() -> None:
        seq, tick, due = NUM_BEFORE, 0, time.monotonic()
        with run.events.open("ab", buffering=0) as file:
            while not is_over.wait(max(0.0, due - time.monotonic())):
                for event in events(tick):
                    seq += 1
                    file.write(line(event, seq))
                tick, due = tick + 1, due + interval_seconds

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()

"""What being watched costs a run: `python benchmarks/watch.py [ROUNDS]`.

Claim: the watch asks less than a thousandth of a core: a look takes some milliseconds of
processor time every five seconds, and an event that passes through it, two a second, some
microseconds. Interleaved with the same events stated plainly, twice, of which the second is the
control. Prints one JSON object on stdout and one line for a person on stderr, and keeps
the figures in `benchmarks/results/watch.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.parts.keeping import keep
from ecotui.config import RunConfig
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.machine.gauges import Gauges
from ecotui.engine.watch import Watch
from ecotui.events import EpochStarted, Event, StageStarted, StepsTaken

DEFAULT_ROUNDS = 31
EVENTS = 1_000
LOOKS = 5
RESULTS = Path(__file__).parent / "results"


def steps() -> StepsTaken:
    """Return an event as training states it twice a second."""
    return StepsTaken(
        epoch=1,
        step=3,
        step_in_epoch=3,
        num_steps=3,
        loss=2.0,
        accuracy=0.5,
        gradient_norm=0.8,
        learning_rate=5e-4,
        images_per_second=812.5,
        loader_wait_fraction=0.03,
    )


def stated(emit: Callable[[Event], None]) -> float:
    """Return the processor seconds that an event takes to be stated."""
    event, started = steps(), time.process_time()
    for _ in range(EVENTS):
        emit(event)
    return (time.process_time() - started) / EVENTS


def looked(watch: Watch) -> float:
    """Return the processor seconds that a look takes."""
    started = time.process_time()
    for _ in range(LOOKS):
        watch.look()
    return (time.process_time() - started) / LOOKS


def measure(rounds: int) -> dict[str, float]:
    """Return medians over the rounds, in microseconds, and the share of a core."""
    config = RunConfig()

    def nowhere(event: Event) -> None:
        del event

    with tempfile.TemporaryDirectory() as folder:
        control = Control(Path(folder) / "commands.jsonl", 0, nowhere, StopFlag())
        watch = Watch(nowhere, control, lambda: config, Gauges(Path(folder)), state_bytes=10**9)
        watch(StageStarted(stage="train", total=9, unit="steps"))
        watch(EpochStarted(epoch=1, epochs=9, steps=9, step=0))
        for _ in range(400):  # as full as its memory gets
            watch.look()
        plain, watched, control_again, looks = [], [], [], []
        for _ in range(rounds):
            plain.append(stated(nowhere))
            watched.append(stated(watch))
            control_again.append(stated(nowhere))
            looks.append(looked(watch))
            watch(EpochStarted(epoch=1, epochs=9, steps=9, step=0))
    event_seconds = median(watched) - median(plain)
    return {
        "rounds": rounds,
        "plain_microseconds_per_event": median(plain) * 1e6,
        "control_microseconds_per_event": median(control_again) * 1e6,
        "watched_microseconds_per_event": median(watched) * 1e6,
        "microseconds_per_look": median(looks) * 1e6,
        "share_of_a_core": median(looks) / config.watch.interval_seconds + 2 * event_seconds,
    }


def main() -> None:
    """Measure, print and keep."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS)
    print(json.dumps(found))
    keep(RESULTS / "watch.json", found)
    print(
        f"a look {found['microseconds_per_look'] / 1e3:.1f} ms, an event "
        f"{found['watched_microseconds_per_event']:.1f} us instead of "
        f"{found['plain_microseconds_per_event']:.1f} us: "
        f"{found['share_of_a_core']:.4%} of a core",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()

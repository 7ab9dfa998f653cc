"""Cost of an image from a thousand to a million of them: `python -m benchmarks.scale [DAYS]`.

Claims: what is done for each image of a data set (listing it in the index, splitting it, its place
in an epoch, its row in `split.csv`, its place in an audit) takes as long in a million images as in
a thousand, at most twice, and memory grows by a bounded number of bytes an image; what a reader
keeps of a log is as large after a simulated month (DAYS: 30) as after a day, at most 1.2 times; and
the log of that month, four steps a second and no trouble, is below 250 MB: a run that grows old
states its steps more rarely.

The data sets are made: folders of empty files. What an audit reads of a file is played, everything
around it is real. Every size has a process of its own, seconds are the fastest
of a few. Prints one JSON object, keeps it in `benchmarks/results/scale.json`.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, cast

from benchmarks.parts import day_long
from benchmarks.parts.keeping import keep
from ecotui.engine import watch
from ecotui.engine.__main__ import HEARTBEAT_SECONDS
from ecotui.engine.emit import EVENT_INTERVAL_SECONDS, OLD_INTERVAL_SECONDS, Throttle
from ecotui.events import AnyEvent, Heartbeat, StepsTaken
from ecotui.healing import MachineMeasured
from ecotui.state import RunState, fold
from ecotui.watch_settings import WatchConfig

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CLASSES = 30
DEFAULT_DAYS = 30
MOST_GROWTH = 2.0
MOST_STATE_GROWTH = 1.2
MOST_LOG_BYTES = 250e6
STEPS_A_SECOND = 4
BATCH = 32
RESULT = Path(__file__).with_name("results") / "scale.json"


def write_files(folder: Path, count: int) -> None:
    """Write so many empty files into thirty classes."""
    for label in range(CLASSES):
        (folder / f"class {label:02}").mkdir(parents=True)
    for number in range(count):
        (folder / f"class {number % CLASSES:02}" / f"photo-{number:09}.jpg").touch()


def costs(folder: Path, count: int) -> dict[str, float]:
    """Return microseconds an image of each thing done, and bytes that the index takes."""
    from benchmarks.parts.played_audit import scanned
    from ecotui.config import DataConfig
    from ecotui.engine.data.index import build_index, write_split
    from ecotui.engine.data.sampler import EpochSampler

    config = DataConfig(root=str(folder / "photos"))
    write_files(folder / "photos", count)
    repeats = max(1, min(20, 100_000 // count))
    before = _resident_bytes()
    index = build_index(config, 0)
    taken = _resident_bytes() - before
    sampler = EpochSampler(
        index.splits["train"], index.labels, batch_size=BATCH, seed=0, sampling="balanced"
    )
    parts: dict[str, Callable[[], object]] = {
        "index_and_split": lambda: build_index(config, 0),
        "epoch": lambda: sum(len(batch) for batch in sampler),
        "split_csv": lambda: write_split(index, folder / "split.csv"),
        "audit": lambda: scanned(index),
    }
    found = {
        f"{name}_microseconds": _fastest(part, repeats) / count for name, part in parts.items()
    }
    return {**found, "index_bytes": taken / count}


def _fastest(part: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        part()
        seconds.append(time.perf_counter() - started)
    return 1e6 * min(seconds)


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def month(days: int) -> dict[str, float]:
    """Return the bytes of a reader's state after one day of trouble and after so many of them."""
    state, sizes = RunState(), {}
    events = day_long.events()
    for day in range(1, days + 1):
        for seq, event in enumerate(islice(events, day_long.NUM_EVENTS), 1):
            at = 1.79e9 + 86_400.0 * (day - 1 + seq / day_long.NUM_EVENTS)
            stamp = {"seq": (day - 1) * day_long.NUM_EVENTS + seq, "at": at, "since_start": at}
            state = fold(state, cast(AnyEvent, event.model_copy(update=stamp)))
        sizes[day] = len(pickle.dumps(state))
        print(f"day {day}: {sizes[day]:,} bytes of state", file=sys.stderr)
    return {
        "days": days,
        "events": days * day_long.NUM_EVENTS,
        "state_bytes_after_a_day": sizes[1],
        "state_bytes_at_the_end": sizes[days],
        "state_growth": sizes[days] / sizes[1],
    }


def log_of(days: int) -> dict[str, float]:
    """Return the events and bytes of a log after so many days without trouble.

    When steps are stated is up to the engine's own throttle, at a simulated clock.
    """
    seconds = days * 86_400
    counts = {
        StepsTaken: _stated(
            seconds, 1.0 / STEPS_A_SECOND, EVENT_INTERVAL_SECONDS, OLD_INTERVAL_SECONDS
        ),
        MachineMeasured: _stated(
            seconds, WatchConfig().interval_seconds, 0.0, watch.OLD_INTERVAL_SECONDS
        ),
        Heartbeat: int(seconds / HEARTBEAT_SECONDS),
    }
    stamp = {"seq": sum(counts.values()), "at": 1.79e9, "since_start": float(seconds)}
    lines: dict[type, int] = {}
    for event in islice(day_long.events(), 1_000):
        line = event.model_copy(update=stamp).model_dump_json()
        lines[type(event)] = max(lines.get(type(event), 0), len(line) + 1)
    return {
        "log_events": sum(counts.values()),
        "log_bytes": sum(count * lines[kind] for kind, count in counts.items()),
    }


def _stated(seconds: int, every_seconds: float, interval: float, old_interval: float) -> int:
    """Return how often something is stated that may be stated so often."""
    now = 0.0
    throttle = Throttle(interval, lambda: now, old_interval)
    stated = 0
    for number in range(int(seconds / every_seconds)):
        now = number * every_seconds
        stated += throttle.is_due()
    return stated


def _in_a_process(count: int) -> dict[str, float]:
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.scale", "--costs", str(count)),
        capture_output=True,
        text=True,
        check=True,
        cwd=RESULT.parents[2],
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Measure, keep and print; 1 where a claim does not hold."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DAYS
    found: dict[str, Any] = {"of_sizes": {}}
    for count in SIZES:
        found["of_sizes"][str(count)] = _in_a_process(count)
        print(f"{count:,}: {json.dumps(found['of_sizes'][str(count)])}", file=sys.stderr)
    least, most = (found["of_sizes"][str(count)] for count in (SIZES[0], SIZES[-1]))
    growth = {name: most[name] / least[name] for name in least if name.endswith("_microseconds")}
    found |= {"growth": growth, "worst_growth": max(growth.values()), **month(days), **log_of(days)}
    keep(RESULT, found)
    print(json.dumps(found))
    holds = (
        found["worst_growth"] <= MOST_GROWTH
        and found["state_growth"] <= MOST_STATE_GROWTH
        and found["log_bytes"] <= MOST_LOG_BYTES
    )
    return 0 if holds else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--costs"]:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(costs(Path(place), int(sys.argv[2]))))
        sys.exit()
    sys.exit(main())

"""How long a day's log takes to catch up with: `python benchmarks/fold.py [EVENTS]`.

Claim: 100,000 events are decoded and folded in a few seconds, and the memory
for it is bounded: twice the log asks for no more of it. Prints one JSON object
on stdout, kept in `benchmarks/results/fold.json`, and one line for a person on stderr.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import tracemalloc
from functools import reduce
from pathlib import Path

from benchmarks.parts.keeping import keep
from ecotui.events import Event, Heartbeat, StepsTaken
from ecotui.state import RunState, fold
from ecotui.stream import Tail

DEFAULT_EVENTS = 100_000
RESULT = Path(__file__).with_name("results") / "fold.json"


def written(path: Path, num_events: int) -> Path:
    """Write a log of steps with a heartbeat in between now and then."""
    with path.open("wb") as file:
        for seq in range(1, num_events + 1):
            event = _event(seq).model_copy(update={"seq": seq, "at": 1.79e9 + seq / 2})
            file.write(event.model_dump_json().encode() + b"\n")
    return path


def catch_up(path: Path) -> tuple[RunState, int]:
    """Fold a log as the faces do, bite by bite; return the state and the number of events."""
    state, tail, count = RunState(), Tail(path), 0
    while found := tail.read():
        count += len(found)
        state = reduce(fold, (event for _, event in found), state)
    return state, count


def peak_bytes(path: Path) -> int:
    """Return the most memory that catching up asks for, beyond what was there before."""
    tracemalloc.start()
    catch_up(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def measure(num_events: int) -> dict[str, float]:
    """Return times in seconds and sizes in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "events.jsonl", num_events)
        catch_up(written(Path(folder) / "warm.jsonl", 100))
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            _, count = catch_up(path)
            seconds.append(time.perf_counter() - started)
            assert count == num_events
        return {
            "events": num_events,
            "seconds": min(seconds),
            "microseconds_per_event": min(seconds) / num_events * 1e6,
            "log_bytes": path.stat().st_size,
            "peak_bytes": peak_bytes(path),
            "peak_bytes_a_fifth": peak_bytes(written(path, num_events // 5)),
            "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def _event(seq: int) -> Event:
    if seq % 20 == 0:
        return Heartbeat(step=seq, seconds_since_progress=0.1)
    return StepsTaken(
        epoch=1 + seq // 1_000,
        step=seq * 3,
        step_in_epoch=seq * 3 % 1_000,
        num_steps=3,
        loss=2.0 / seq,
        accuracy=0.5,
        gradient_norm=0.8,
        learning_rate=5e-4,
        images_per_second=812.5,
        loader_wait_fraction=0.03,
    )


def main() -> None:
    """Measure and print."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_EVENTS)
    keep(RESULT, found)
    print(json.dumps(found))
    print(
        f"{found['events']:,.0f} events in {found['seconds']:.2f} s "
        f"({found['microseconds_per_event']:.1f} us each), at most "
        f"{found['peak_bytes'] / 1e6:.1f} MB of memory "
        f"({found['peak_bytes_a_fifth'] / 1e6:.1f} MB for a fifth of them)",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()

"""How long a reader takes to catch up a log of 100,000 events, and how much memory."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from ecotui.events import StepsTaken
from ecotui.state import RunState, fold
from ecotui.stream import Tail

NUM_EVENTS = 100_000


def write_log(path: Path) -> None:
    """Write a log as a day of training would leave it."""
    with path.open("w", encoding="utf-8") as file:
        for count in range(1, NUM_EVENTS + 1):
            event = StepsTaken(
                seq=count,
                at=float(count),
                since_start=count / 2,
                epoch=1 + count // 1_000,
                step=count,
                step_in_epoch=count % 1_000,
                num_steps=1,
                loss=1.0 / count,
                accuracy=0.5,
                gradient_norm=1.0,
                learning_rate=1e-3,
                images_per_second=100.0,
                loader_wait_fraction=0.1,
            )
            file.write(event.model_dump_json() + "\n")


def resident_bytes() -> int:
    """Return the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1_024


def main() -> None:
    """Write a log, then read and fold it as every face does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        write_log(path)
        before = resident_bytes()
        started = time.perf_counter()
        tail, state, num_folded = Tail(path), RunState(), 0
        while batch := tail.read():
            for _, event in batch:
                state = fold(state, event)
            num_folded += len(batch)
        took = time.perf_counter() - started
    print(f"{num_folded:,} events in {took:.1f} s (target: a few seconds)")
    print(f"memory: {(resident_bytes() - before) / 1e6:.0f} MB more at most")


if __name__ == "__main__":
    main()

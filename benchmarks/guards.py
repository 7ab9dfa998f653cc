"""What all guards cost: a run's own step against a bare loop with the same fused optimizer.

    python -m benchmarks.guards

Both take the same batches, step by step in turn, in one process, between two bare loops: their
mean is what the guarded step is held against, and how they differ is the control. Where memory
happens to lie makes a loop faster or slower by a hundredth for as long as a process lives, so each
load is measured in several fresh ones, and the median of these counts. Everything is on:
screening, clipping, the guards, the kept buffers and generators, metrics, and the events of the
steps, written to a file. Prints JSON, writes `benchmarks/results/guards.json`, and fails where a
claim does not hold.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.parts.keeping import keep
from benchmarks.parts.loops import (
    Step,
    bare,
    batches_of,
    config_of,
    fused_adamw,
    guarded,
    network_of,
    parts_of,
    run_in,
)
from benchmarks.parts.ratios import median_ratio
from ecotui.stream import EventWriter

RESULTS = Path(__file__).resolve().parent / "results" / "guards.json"


@dataclass(frozen=True)
class Load:
    """What is trained, and the claim.

    Attributes:
        model: timm's name.
        image_size: Pixels.
        batch_size: Images a step.
        steps: Of each loop, in each process.
        processes: Fresh ones, one after another.
        least: Speed of the guarded loop, in that of the bare one.
    """

    model: str
    image_size: int
    batch_size: int
    steps: int
    processes: int
    least: float


LOADS = (
    Load("vit_tiny_patch16_224", 14 * 16, 2, 60, 5, 0.99),
    Load("test_vit", 64, 8, 400, 3, 0.92),
)


def main() -> int:
    """Measure all loads; 1 where a claim does not hold."""
    results = [summed_up(load) for load in LOADS]
    found = {"torch": torch.__version__, "loads": results}
    keep(RESULTS, found)
    print(json.dumps(found, indent=1))
    return 0 if all(result["holds"] for result in results) else 1


def summed_up(load: Load) -> dict[str, Any]:
    """Return the median over fresh processes, and what each of them measured."""
    runs = [_in_a_process(load) for _ in range(load.processes)]

    def median(name: str) -> float:
        return statistics.median(run[name] for run in runs)

    speed = median("guarded_speed")
    return {
        "model": load.model,
        "image_size": load.image_size,
        "batch_size": load.batch_size,
        "steps": load.steps * load.processes,
        "bare_step_milliseconds": median("bare_step_milliseconds"),
        "guarded_speed": speed,
        "guarded_speed_of_each": [run["guarded_speed"] for run in runs],
        "control_speed_of_each": [run["control_speed"] for run in runs],
        "added_milliseconds": median("added_milliseconds"),
        "least": load.least,
        "holds": speed >= load.least,
    }


def _in_a_process(load: Load) -> dict[str, float]:
    done = subprocess.run(
        (sys.executable, __file__, str(LOADS.index(load))),
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(RESULTS.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(load: Load) -> dict[str, float]:
    """Return the speed of the guarded loop and of the control, in that of the bare loops."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = run_in(Path(folder))
        writer = EventWriter(run.events)
        config = config_of(load.model, load.image_size, load.batch_size, {"threads": 1})
        ours = guarded(parts_of(config, writer), run, writer)
        plain, control = (
            bare(network, fused_adamw(network, config))
            for network in (network_of(load.model, load.image_size) for _ in range(2))
        )
        batches = batches_of(load.image_size, load.batch_size)
        loops: list[Step] = [plain, ours, control]
        times: list[list[float]] = [[] for _ in loops]
        for number in range(load.steps + 5):
            batch = batches[number % len(batches)]
            # Each comes first, second and third equally often.
            for turn in range(len(loops)):
                which = (turn + number) % len(loops)
                started = time.perf_counter()
                loops[which](batch)
                times[which].append(time.perf_counter() - started)
        writer.close()
    bare_times, guarded_times, control_times = (each[5:] for each in times)
    mean_times = [(one + two) / 2 for one, two in zip(bare_times, control_times, strict=True)]
    return {
        "bare_step_milliseconds": 1000 * statistics.median(mean_times),
        "guarded_speed": median_ratio(mean_times, guarded_times),
        "control_speed": median_ratio(bare_times, control_times),
        "added_milliseconds": 1000
        * statistics.median(
            late - early for early, late in zip(mean_times, guarded_times, strict=True)
        ),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(LOADS[int(sys.argv[1])])))
    else:
        sys.exit(main())

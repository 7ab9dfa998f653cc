"""What glibc's settings for freed memory do to steps on the CPU: `python -m benchmarks.allocator`.

The C library gives large blocks back to the system and takes them anew, page by page, several
thousand times a step. `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_` and `MALLOC_TOP_PAD_`
(mallopt(3)) make it keep them. Each load is trained in fresh processes, as the settings are read
when one starts: without, with and without them, in an order that changes, each with a bare loop, a
fused optimizer and all processors. A ratio is the median over the rounds; `control` is that of two
processes without them. Prints one JSON object and keeps it in `benchmarks/results/allocator.json`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.parts.keeping import keep

RESULT = Path(__file__).resolve().parent / "results" / "allocator.json"
KEPT = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
WAYS: dict[str, dict[str, str]] = {"plain": {}, "kept": KEPT, "plain_again": {}}
LOADS = {
    "resnet18": ("resnet18", 128, 16, 12),
    "vit_tiny": ("vit_tiny_patch16_224", 224, 8, 12),
    "regnetx_002": ("regnetx_002", 96, 32, 40),
}
"""Model, side of the images, images a step, and steps of a process that count."""
ROUNDS = int(os.environ.get("ECOTUI_BENCH_ROUNDS", "5"))
WARM_UP = 4


def step_seconds(model: str, side: int, batch_size: int, steps: int) -> float:
    """Return what a step takes in this process, the median."""
    from benchmarks.parts.loops import bare, batches_of, config_of, fused_adamw, network_of

    network = network_of(model, side)
    step = bare(network, fused_adamw(network, config_of(model, side, batch_size, {})))
    batches, times = batches_of(side, batch_size), []
    for number in range(steps + WARM_UP):
        started = time.perf_counter()
        step(batches[number % len(batches)])
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:])


def in_a_process(name: str, settings: dict[str, str]) -> float:
    """Return what a step takes in a fresh process with these settings."""
    outside = {key: value for key, value in os.environ.items() if key not in KEPT}
    argv = (sys.executable, "-m", "benchmarks.allocator", name)
    done = subprocess.run(
        argv, env=outside | settings, cwd=RESULT.parents[2], capture_output=True, check=True
    )
    return float(done.stdout)


def compared(name: str) -> dict[str, float]:
    """Return the speed with the settings in that without, and the control."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    ways = list(WAYS)
    for number in range(ROUNDS):
        for place in range(len(ways)):
            way = ways[(number + place) % len(ways)]
            times[way].append(in_a_process(name, WAYS[way]))

    def against_plain(way: str) -> float:
        return statistics.median(a / b for a, b in zip(times["plain"], times[way], strict=True))

    return {
        "speed_kept": against_plain("kept"),
        "control": against_plain("plain_again"),
        "step_milliseconds": 1000 * statistics.median(times["plain"]),
    }


def main() -> None:
    """Measure, keep and print; with the name of a load, be one of its processes."""
    if len(sys.argv) > 1:
        print(step_seconds(*LOADS[sys.argv[1]]))
        return
    found: dict[str, Any] = {"rounds": ROUNDS, "settings": KEPT}
    for name in LOADS:
        found[name] = compared(name)
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

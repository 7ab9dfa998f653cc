"""What keeping freed memory does to steps on the CPU: `python -m benchmarks.allocator`.

By itself glibc gives large blocks back to the system and takes them anew, page by page, several
thousand times a step; `ecotui.engine.heap` makes it keep them. Each load is trained in fresh
processes: without, with and without it, in an order that changes, each with a bare loop, a fused
optimizer and all processors. A ratio is the median over the rounds; `control` is that of two
processes without it, `memory` that of the highest resident memory. Prints one JSON object and
keeps it in `benchmarks/results/allocator.json`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.parts.keeping import keep
from ecotui.engine.heap import keep_freed_memory

RESULT = Path(__file__).resolve().parent / "results" / "allocator.json"
WAYS = ("plain", "kept", "plain_again")
LOADS = {
    "resnet18": ("resnet18", 128, 16, 12, False),
    "vit_tiny": ("vit_tiny_patch16_224", 224, 8, 12, False),
    "regnetx_002": ("regnetx_002", 96, 32, 40, False),
    "regnetx_002_bf16": ("regnetx_002", 96, 32, 40, True),
}
"""Model, side of the images, images a step, steps of a process that count, and whether in bf16."""
ROUNDS = int(os.environ.get("ECOTUI_BENCH_ROUNDS", "5"))
WARM_UP = 4


def step_of(
    model: str, side: int, batch_size: int, steps: int, in_bf16: bool
) -> tuple[float, float]:
    """Return what a step takes in this process, the median, and its highest resident memory."""
    import torch

    from benchmarks.parts.loops import bare, batches_of, config_of, fused_adamw, network_of

    network = network_of(model, side)
    if in_bf16:
        network = network.to(memory_format=torch.channels_last)
        network.forward = torch.autocast("cpu", torch.bfloat16)(network.forward)
    step = bare(network, fused_adamw(network, config_of(model, side, batch_size, {})))
    batches, times = batches_of(side, batch_size), []
    for number in range(steps + WARM_UP):
        started = time.perf_counter()
        step(batches[number % len(batches)])
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_a_process(name: str, way: str) -> tuple[float, float]:
    """Return what a step takes in a fresh process, and its memory."""
    argv = (sys.executable, "-m", "benchmarks.allocator", name, way)
    done = subprocess.run(argv, cwd=RESULT.parents[2], capture_output=True, check=True)
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def compared(name: str) -> dict[str, float]:
    """Return speed and memory with freed memory kept in those without, and the control."""
    seen: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for place in range(len(WAYS)):
            way = WAYS[(number + place) % len(WAYS)]
            seen[way].append(in_a_process(name, way))

    def against_plain(way: str) -> float:
        pairs = zip(seen["plain"], seen[way], strict=True)
        return statistics.median(plain[0] / other[0] for plain, other in pairs)

    pairs = zip(seen["plain"], seen["kept"], strict=True)
    return {
        "speed_kept": against_plain("kept"),
        "control": against_plain("plain_again"),
        "memory": statistics.median(kept[1] / plain[1] for plain, kept in pairs),
        "step_milliseconds": 1000 * statistics.median(seconds for seconds, _ in seen["plain"]),
    }


def main() -> None:
    """Measure, keep and print; with the name of a load and a way, be one of its processes."""
    if len(sys.argv) > 1:
        if sys.argv[2] == "kept":
            keep_freed_memory()
        print(json.dumps(step_of(*LOADS[sys.argv[1]])))
        return
    found: dict[str, Any] = {"rounds": ROUNDS}
    for name in LOADS:
        found[name] = compared(name)
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

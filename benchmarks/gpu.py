"""Training on an NVIDIA GPU: `python -m benchmarks.gpu [try]`.

eva02_base_patch14_224 at 224 px in bf16, batches of 32, against a bare loop with the same fused
optimizer and against timm's parts in the order of its `train.py` with AMP. Blocks of steps in turn,
an A/A control in every round; each block ends when the device has finished, and ratios are medians
over the rounds. Beside them:

- the share of a block's time in which the device computes, as torch's profiler sees it;
- photos a second that the loader delivers by itself from JPEG files of 512x384, with as many
  workers as `auto` takes, against what the steps use: at least 1, or the device waits for photos;
- whether whole steps, from a batch on the host to the next, make the host wait for the device:
  they are taken under `torch.cuda.set_sync_debug_mode("error")`.

Claims: at least 0.99 of the bare loop and as fast as timm's. Prints one JSON object and keeps it in
`benchmarks/results/gpu.json`. Without a GPU it is left out; `try` runs it on the CPU with a small
network, to see that it runs, and keeps nothing.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm.optim
import timm.utils
import torch
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from benchmarks.audit import index_of
from benchmarks.data_path import BATCH, PARTS, ours, seconds_an_image, write_photos
from benchmarks.parts.keeping import keep
from benchmarks.parts.loops import (
    SMOOTHING,
    Step,
    batches_of,
    config_of,
    fused_adamw,
    guarded,
    network_of,
    parts_of,
    run_in,
)
from ecotui.engine.data.loader import Batch
from ecotui.stream import EventWriter

RESULT = Path(__file__).with_name("results") / "gpu.json"
CLIP = 1.0


@dataclass(frozen=True)
class Load:
    """What is trained, and for how long it is measured."""

    device: str
    model: str
    image_size: int
    batch_size: int
    block: int
    rounds: int


COPIES = "Memcpy HtoD"
"""How the profiler names those to the device, which have a stream of their own."""

FULL = Load("cuda", "eva02_base_patch14_224", 224, 32, 20, 9)
TRIED = Load("cpu", "test_vit", 64, 8, 4, 3)


def bare(load: Load) -> Step:
    """Return a step that only computes: pinned batches, AMP in bf16, a fused optimizer."""
    network = network_of(load.model, load.image_size).to(load.device)
    optimizer = fused_adamw(network, config_of(load.model, load.image_size, load.batch_size, {}))

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        _loss(network, batch, load).backward()
        optimizer.step()

    return step


def timms(load: Load) -> Step:
    """Return a step of timm's parts: its AdamW as it comes, clipping, the loss read each time."""
    network = network_of(load.model, load.image_size).to(load.device)
    optimizer = timm.optim.create_optimizer_v2(network, opt="adamw", lr=1e-4, weight_decay=0.05)
    losses = timm.utils.AverageMeter()

    def step(batch: Batch) -> None:
        loss = _loss(network, batch, load)
        optimizer.zero_grad()
        loss.backward()
        timm.utils.dispatch_clip_grad(network.parameters(), value=CLIP, mode="norm")
        optimizer.step()
        losses.update(loss.item(), load.batch_size)

    return step


def _loss(network: torch.nn.Module, batch: Batch, load: Load) -> torch.Tensor:
    images_BCHW = batch.images_BCHW.to(load.device, non_blocking=True)
    labels_B = batch.labels_B.to(load.device, non_blocking=True)
    with torch.autocast(load.device, torch.bfloat16):
        logits_BK = network(images_BCHW)
    return cross_entropy(logits_BK.float(), labels_B, label_smoothing=SMOOTHING)


def pinned(load: Load) -> list[Batch]:
    """Return the batches of all loops, page-locked where there is a GPU."""
    batches = batches_of(load.image_size, load.batch_size)
    return [batch.pin_memory() for batch in batches] if load.device == "cuda" else batches


def wait(load: Load) -> None:
    """Wait until the device has done what was asked of it."""
    if load.device == "cuda":
        torch.cuda.synchronize()


def block_seconds(step: Step, batches: list[Batch], load: Load) -> float:
    """Return what a block of steps takes, up to the device's last."""
    wait(load)
    started = time.perf_counter()
    for number in range(load.block):
        step(batches[number % len(batches)])
    wait(load)
    return time.perf_counter() - started


def speeds(loops: dict[str, Step], batches: list[Batch], load: Load) -> dict[str, float]:
    """Return each loop's speed in that of the bare one, and its images a second."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    names = list(loops)
    for number in range(load.rounds + 1):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            taken = block_seconds(loops[name], batches, load)
            if number:  # the first makes kernels and memory ready
                times[name].append(taken)
    images = load.block * load.batch_size
    ratios = {
        f"ratio_{name}": statistics.median(
            one / other for one, other in zip(times["bare"], taken, strict=True)
        )
        for name, taken in times.items()
        if name != "bare"
    }
    return ratios | {
        f"{name}_images_per_second": images / statistics.median(taken)
        for name, taken in times.items()
    }


def busy_fraction(step: Step, batches: list[Batch], load: Load) -> float:
    """Return the share of a block's time in which kernels run; all of them are on one stream.

    Copies to the device, which run beside them, do not count.
    """
    seen = ProfilerActivity.CUDA if load.device == "cuda" else ProfilerActivity.CPU
    with profile(activities=[seen]) as profiled:
        taken = block_seconds(step, batches, load)
    kernels = profiled.key_averages()
    field = "self_device_time_total" if load.device == "cuda" else "self_cpu_time_total"
    computing = [kernel for kernel in kernels if not kernel.key.startswith(COPIES)]
    return float(sum(getattr(kernel, field) for kernel in computing) / 1e6 / taken)


def waits(step: Step, batches: list[Batch], load: Load) -> str | None:
    """Return what made the host wait for the device within whole steps, or None."""
    wait(load)
    try:
        if load.device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        for batch in batches * 5:
            step(batch)
    except RuntimeError as error:
        return str(error)
    finally:
        if load.device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return None


def delivered(workers: int) -> float:
    """Return photos a second that the loader reads from JPEG files by itself."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        index = index_of(folder, write_photos(folder, PARTS["small"]))
        epoch, loader = ours(index, workers, None)
        with closing(loader):
            seconds_an_image(epoch)  # starts the workers
            return 1.0 / statistics.median(seconds_an_image(epoch) for _ in range(3))


def measured(load: Load) -> Iterator[dict[str, Any]]:
    """Measure one thing after the other."""
    with tempfile.TemporaryDirectory() as place:
        run = run_in(Path(place))
        writer = EventWriter(run.events)
        wish = {"device": load.device, "precision": "bf16", "workers": "auto"}
        config = config_of(load.model, load.image_size, load.batch_size, wish)
        parts = parts_of(config, writer)
        own = guarded(parts, run, writer)
        batches = pinned(load)
        loops = {"bare": bare(load), "ecotui": own, "timm": timms(load), "bare_again": bare(load)}
        found = speeds(loops, batches, load)
        yield found | {"against_timm": found["ratio_ecotui"] / found["ratio_timm"]}
        yield {"waits_for_the_device": waits(own, batches, load)}
        yield {"busy_fraction": busy_fraction(own, batches, load)}
        writer.close()
    photos = delivered(parts.compute.workers)
    yield {
        "workers": parts.compute.workers,
        "loader_images_per_second": photos,
        "loader_of_steps": photos / found["ecotui_images_per_second"],
    }


def main() -> int:
    """Measure, keep and print; 1 where a claim does not hold, 2 without a GPU."""
    load = TRIED if "try" in sys.argv[1:] else FULL
    if load is FULL and not torch.cuda.is_available():
        print("left out: it needs an NVIDIA GPU", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"load": asdict(load), "photos_a_batch": BATCH}
    if load.device == "cuda":
        found["device"] = torch.cuda.get_device_name()
    for part in measured(load):
        found |= part
    print(json.dumps(found))
    if load is FULL:
        keep(RESULT, found)
    holds = found["ratio_ecotui"] >= 0.99 and found["against_timm"] >= 1.0
    return 0 if holds and found["waits_for_the_device"] is None else 1


if __name__ == "__main__":
    sys.exit(main())

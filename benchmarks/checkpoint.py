"""What a checkpoint costs a run: `python benchmarks/checkpoint.py [FOLDER]`.

Claims, on the machine it runs on:

- training stands still for at most 0.1 s per GB of state, and for at most a
  tenth of what `torch.save` with fsync of the same state takes
  (eva02_base_patch14_224 with AdamW, about 1 GB);
- steps during the write take at most 1.15 of quiet ones, in the median
  (resnet18, its state padded to 1 GB);
- a checkpoint every 5 minutes costs at most 1 % of the run.

The measurements of one kind alternate with those they are compared with, as
machines are shared. Writes benchmarks/results/checkpoint.json, prints a table,
and ends with status 1 where a claim does not hold.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from benchmarks.parts.keeping import keep
from ecotui.engine.saving import Saver
from ecotui.engine.snapshot import state_bytes
from ecotui.engine.train_state import LoopState, Trainable, capture
from ecotui.events import CheckpointSaved, Event

RESULTS = Path(__file__).parent / "results" / "checkpoint.json"
LIMITS = {
    "stall_seconds_per_gb": 0.1,
    "stall_of_torch_save": 0.1,
    "step_during_write_of_quiet": 1.15,
    "cost_of_run": 0.01,
}
INTERVAL_SECONDS = 300.0
STATE_BYTES = 1_000_000_000
BATCH_SIZE, SIDE = 8, 160
ROUNDS = 5
QUIET_STEPS = 15
STEP_ROUNDS = 3
MAX_WRITE_SECONDS = 40.0


class Measured:
    """A saver of a network with its optimizer, and what it stated.

    Args:
        folder: Where a run directory is made.
        network: Saved with AdamW's state of it.
    """

    def __init__(self, folder: Path, network: nn.Module) -> None:
        self.network = network
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        self.loop = LoopState()
        self.saved: list[CheckpointSaved] = []
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.trainable = Trainable(network, None, self.optimizer, scaler)
        folder.mkdir()
        self.saver = Saver(
            folder,
            self.trainable,
            self._hear,
            interval_seconds=1e9,
            keep=1,
            facts={},
            background=True,
        )

    @property
    def state_bytes(self) -> int:
        """Size of what a checkpoint holds."""
        return state_bytes(capture(self.trainable, self.loop).tensors)

    def make_ready(self) -> None:
        """Take a step with made gradients, and let the memory for the copy be made."""
        for parameter in self.network.parameters():
            parameter.grad = torch.randn_like(parameter)
        self.optimizer.step()
        self.saver.attend(lambda: None)
        self.saver.finish()

    def save(self) -> None:
        """Begin a checkpoint."""
        self.loop.step += 1
        self.saver.save(self.loop, "request")

    @property
    def is_writing(self) -> bool:
        """Whether the checkpoint is being written or read back."""
        return self.saver._background.is_busy

    def _hear(self, event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            self.saved.append(event)


def measure_stall(folder: Path) -> dict[str, float]:
    """Compare how long training stands still with torch.save and fsync, in seconds."""
    measured = Measured(folder / "stall", timm.create_model("eva02_base_patch14_224"))
    measured.make_ready()
    plain = []
    for _ in range(ROUNDS):
        measured.save()
        measured.saver.finish()
        plain.append(_torch_save(measured, folder / "plain.pt"))
    stall = statistics.median(saved.stall_seconds for saved in measured.saved)
    gigabytes = measured.state_bytes / 1e9
    return {
        "state_gb": gigabytes,
        "stall_seconds": stall,
        "stall_seconds_per_gb": stall / gigabytes,
        "torch_save_seconds": statistics.median(plain),
        "stall_of_torch_save": stall / statistics.median(plain),
    }


def measure_steps(folder: Path) -> dict[str, float]:
    """Compare steps while a checkpoint is written with quiet ones, in seconds."""
    network = timm.create_model("resnet18", num_classes=10)
    own = 3 * sum(parameter.numel() * 4 for parameter in network.parameters())
    network.register_buffer("padding", torch.ones((STATE_BYTES - own) // 4))
    measured = Measured(folder / "steps", network)
    measured.make_ready()
    quiet, busy, lengths, slowdowns, means = [], [], [], [], []
    for _ in range(STEP_ROUNDS):
        before = [_step(measured) for _ in range(QUIET_STEPS)]
        measured.save()
        started = time.perf_counter()
        during = []
        while measured.is_writing and time.perf_counter() - started < MAX_WRITE_SECONDS:
            during.append(_step(measured))
        lengths.append(time.perf_counter() - started)
        measured.saver.finish()
        quiet += before
        busy += during
        slowdowns.append(statistics.median(during) / statistics.median(before))
        means.append(statistics.mean(during) / statistics.mean(before))
    return {
        "quiet_step_seconds": statistics.median(quiet),
        "step_seconds_during_write": statistics.median(busy),
        "step_during_write_of_quiet": statistics.median(slowdowns),
        "steps_during_writes": len(busy),
        "write_seconds": statistics.median(lengths),
        "mean_slowdown": statistics.median(means),
    }


def _step(measured: Measured) -> float:
    images = torch.randn(BATCH_SIZE, 3, SIDE, SIDE)
    started = time.perf_counter()
    measured.optimizer.zero_grad(set_to_none=True)
    measured.network(images).logsumexp(dim=1).mean().backward()
    measured.optimizer.step()
    return time.perf_counter() - started


def _torch_save(measured: Measured, path: Path) -> float:
    started = time.perf_counter()
    state = {
        "model": measured.network.state_dict(),
        "optimizer": measured.optimizer.state_dict(),
    }
    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    path.unlink()
    return seconds


def cost_of_run(found: dict[str, float]) -> float:
    """Return the share of a run's time that a checkpoint every 5 minutes takes."""
    slowed = max(0.0, found["mean_slowdown"] - 1.0) * found["write_seconds"]
    return (found["stall_seconds"] + slowed) / INTERVAL_SECONDS


def _table(found: dict[str, Any]) -> str:
    lines = [f"{'':32}{'measured':>10}{'limit':>10}"]
    for name, value in found.items():
        limit = LIMITS.get(name)
        bound = "" if limit is None else f"{limit:10.3f}  {'ok' if value <= limit else 'MISSED'}"
        lines.append(f"{name:32}{value:10.3f}{bound}")
    return "\n".join(lines)


def main() -> int:
    """Measure, write down, print; return 0 where all claims hold."""
    place = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        found = measure_stall(Path(folder)) | measure_steps(Path(folder))
    found["cost_of_run"] = cost_of_run(found)
    found["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found["threads"] = torch.get_num_threads()
    keep(RESULTS, found)
    print(_table(found))
    return int(any(found[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())

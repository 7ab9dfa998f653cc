"""What all guards cost: a run's own step against a bare loop with the same fused optimizer.

    python benchmarks/guards.py

Both take the same batches, step by step in turn, in one process, between two bare loops: their
mean is what the guarded step is held against, and how they differ is the control. Where memory
happens to lie makes a loop faster or slower by a hundredth for as long as a process lives, so each
load is measured in several fresh ones, and the median of these counts. Everything is on:
screening, clipping, the guards, the kept buffers and generators, metrics, and the events of the
steps, written to a file. Prints JSON, writes `benchmarks/results/guards.json`, and fails where a
claim does not hold.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch.nn.functional import cross_entropy

from ecotui.engine.assembly import assemble
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.data.index import DataIndex, Names
from ecotui.engine.data.loader import Batch
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.optim import make_optimizer
from ecotui.engine.saving import Saver
from ecotui.engine.train_state import LoopState
from ecotui.engine.trainer import Trainer
from ecotui.paths import RunDir
from ecotui.resolved_config import ResolvedConfig
from ecotui.stream import EventWriter

RESULTS = Path(__file__).resolve().parent / "results" / "guards.json"
NUM_CLASSES = 10
NUM_BATCHES = 4


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
    RESULTS.parent.mkdir(exist_ok=True)
    text = json.dumps({"torch": torch.__version__, "loads": results}, indent=1)
    RESULTS.write_text(text + "\n")
    print(text)
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
        guarded, writer = _guarded(load, Path(folder))
        bare, control = _bare(load), _bare(load)
        batches = _batches(load)
        loops: list[Callable[[Batch], None]] = [bare, guarded, control]
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
    plain = [(one + two) / 2 for one, two in zip(bare_times, control_times, strict=True)]
    return {
        "bare_step_milliseconds": 1000 * statistics.median(plain),
        "guarded_speed": _ratio(plain, guarded_times),
        "control_speed": _ratio(bare_times, control_times),
        "added_milliseconds": 1000
        * statistics.median(late - early for early, late in zip(plain, guarded_times, strict=True)),
    }


def _ratio(bare: list[float], other: list[float]) -> float:
    """Return the median over the steps of one loop's speed in that of the other."""
    return statistics.median(one / two for one, two in zip(bare, other, strict=True))


def _batches(load: Load) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    shape = (load.batch_size, 3, load.image_size, load.image_size)
    return [
        Batch(
            torch.randn(shape, generator=generator),
            torch.randint(NUM_CLASSES, (load.batch_size,), generator=generator),
            tuple(range(load.batch_size)),
            (),
        )
        for _ in range(NUM_BATCHES)
    ]


def _bare(load: Load) -> Callable[[Batch], None]:
    """Return one step of the loop that people write, with the optimizer that ecotui takes."""
    torch.manual_seed(0)
    network = timm.create_model(load.model, num_classes=NUM_CLASSES, img_size=load.image_size)
    network.train()
    optimizer = make_optimizer(network, _config(load).train, fused=True)

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = network(batch.images_BCHW)
        cross_entropy(logits, batch.labels_B, label_smoothing=0.1).backward()
        optimizer.step()

    return step


def _guarded(load: Load, folder: Path) -> tuple[Callable[[Batch], None], EventWriter]:
    """Return one step of a real trainer, without its loader, and the writer of its events."""
    run = RunDir(folder / "run")
    run.path.mkdir()
    writer = EventWriter(run.events)
    parts = assemble(_config(load), _index(load), writer)
    loop, copy = LoopState(), HostCopy()
    saver = Saver(
        run.path, parts.trainable, writer, interval_seconds=1e9, keep=2, facts={}, copy=copy
    )
    control = Control(run.commands, 0, writer, StopFlag())
    trainer = Trainer(parts, run, saver, loop, control, writer, copy=copy)
    trainer.protection.begin()
    trainer._set_mode()

    def step(batch: Batch) -> None:
        trainer._look()
        trainer._use(batch)
        trainer._state_steps_if_due()
        trainer.protection.epochs.judge_counts(is_whole=False)
        trainer.protection.note_step()
        trainer._save_if_due()

    gc.collect()
    return step, writer


def _config(load: Load) -> ResolvedConfig:
    return ResolvedConfig.model_validate(
        {
            "data": {"root": "unused", "image_size": load.image_size},
            "model": {"name": load.model, "pretrained": False},
            "train": {
                "batch_size": load.batch_size,
                "learning_rate": 1e-4,
                "epochs": 1000,
                "scheduler": "none",
            },
            "compute": {"device": "cpu", "workers": 0, "threads": 1},
        }
    )


def _index(load: Load) -> DataIndex:
    count = 100 * load.batch_size
    ids = np.arange(count, dtype=np.int64)
    return DataIndex(
        root=Path("unused"),
        layout="classes",
        class_names=tuple(f"class {number}" for number in range(NUM_CLASSES)),
        names=Names(f"{number}.png".encode() for number in range(count)),
        labels=ids % NUM_CLASSES,
        splits={"train": ids, "val": ids[:8], "test": ids[:0]},
        notes=(),
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(LOADS[int(sys.argv[1])])))
    else:
        sys.exit(main())

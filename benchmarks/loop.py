"""Training loops, side by side: `make peers`, or in what it makes `python -m benchmarks.loop PART`.

Claims, as speed in that of a bare loop with the fused optimizer: with everything on at least 0.99
on vit_tiny at 224 px and 0.92 on test_vit at 64 px (`guards.py` measures the same more closely),
and above each peer that clips gradients, too; with what ecotui chooses by itself against what each
peer does by default, at least 1.5 times on eva02_base and resnet18.

All loops live in one process, and take a step in turn (`parts/turns.py`); each draws the same
pictures, held in memory, through a `DataLoader` of its own. A peer that a claim is about is held
against ecotui step by step, as the bare loop is against all, and the median of the steps counts.
Where memory happens to lie makes a loop faster or slower by a hundredth for as long as a process
lives: each load is measured in fresh ones, medians count, and a second bare loop is the control.
That the engine keeps freed memory on the CPU (`ecotui.engine.heap`) makes all loops of its process
faster, the peers' as well.

Loads (PART names one or more): `vit_tiny` and `test_vit`, on one thread, the same fused AdamW
everywhere; `eva02` and `resnet18`, on all processors, everybody with its defaults: ecotui in the
number format and memory layout that it measures, the peers in float32, and with torch's own AdamW
where a peer does not choose one itself (Hugging Face's Trainer takes the fused one).

Peers are Lightning's Trainer and Hugging Face's, as they come, and timm's training loop: a step
made of timm's parts in the order of its `train.py`, which its package does not hold. Prints one
JSON object, keeps it in `benchmarks/results/loop.json`.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm.optim
import timm.scheduler
import timm.utils
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from benchmarks.parts.choosing import chosen
from benchmarks.parts.keeping import keep
from benchmarks.parts.loops import (
    SMOOTHING,
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
from benchmarks.parts.turns import Turn, take_turns
from ecotui.engine.data.loader import Batch
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.formats import choose_formats, open_formats
from ecotui.resolved_config import ResolvedConfig
from ecotui.stream import EventWriter

RESULT = Path(__file__).resolve().parent / "results" / "loop.json"
CLIP = 1.0
RATE, DECAY = 1e-4, 0.05
WARM_UP = 3
LOG_INTERVAL = 50
"""Steps; timm's default."""

Row = dict[str, torch.Tensor]
Found = dict[str, dict[str, float]]
"""Each loop's speed in that of the bare one, ecotui's in that of each peer, and milliseconds."""

Loop = tuple[Turn, Callable[[], None]]


@dataclass(frozen=True)
class Load:
    """What is trained.

    Attributes:
        model: timm's name.
        image_size: Pixels.
        batch_size: Images a step.
        steps: Of each loop, in each process.
        processes: Fresh ones, one after another.
        is_default: Whether everybody does what it does by default.
        least: Speed claimed of ecotui, in that of the bare loop, or of each peer's.
    """

    model: str
    image_size: int
    batch_size: int
    steps: int
    processes: int
    is_default: bool
    least: float


LOADS = {
    "vit_tiny": Load("vit_tiny_patch16_224", 224, 2, 40, 5, False, 0.99),
    "test_vit": Load("test_vit", 64, 8, 300, 3, False, 0.92),
    "eva02": Load("eva02_base_patch14_224", 224, 4, 5, 1, True, 1.5),
    "resnet18": Load("resnet18", 224, 8, 20, 2, True, 1.5),
}


class Pictures(Dataset[Row]):
    """Noise in memory, one picture a row, as long as anybody reads."""

    def __init__(self, load: Load) -> None:
        batches = batches_of(load.image_size, load.batch_size)
        self._images = torch.cat([batch.images_BCHW for batch in batches])
        self._labels = torch.cat([batch.labels_B for batch in batches])

    def __len__(self) -> int:
        return 10_000 * len(self._labels)

    def __getitem__(self, number: int) -> Row:
        where = number % len(self._labels)
        return {"images": self._images[where], "labels": self._labels[where]}


class Scored(nn.Module):
    """A network as Hugging Face's Trainer wants it: it returns its loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> Row:
        """Return loss and logits of a batch."""
        logits = self.network(images)
        return {"loss": cross_entropy(logits, labels, label_smoothing=SMOOTHING), "logits": logits}


def stepping(step: Step, load: Load) -> Callable[[], None]:
    """Return a loop of what can be called for one step."""
    numbers = tuple(range(load.batch_size))

    def loop() -> None:
        for row in DataLoader(Pictures(load), load.batch_size):
            step(Batch(row["images"], row["labels"], numbers, ()))

    return loop


def usual_adamw(network: nn.Module, load: Load) -> torch.optim.Optimizer:
    """Return AdamW as torch has it by default, or fused where all are to have the same."""
    fused = None if load.is_default else True
    return torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=fused)


def bare_loop(load: Load, *, clip: float | None = None) -> Loop:
    """Return the bare loop, with the fused optimizer."""
    turn = Turn()
    network = turn.wait_at(network_of(load.model, load.image_size))
    config = config_of(load.model, load.image_size, load.batch_size, {})
    return turn, stepping(bare(network, fused_adamw(network, config), clip), load)


def plain_loop(load: Load) -> Loop:
    """Return the bare loop with torch's AdamW as it comes."""
    turn = Turn()
    network = turn.wait_at(network_of(load.model, load.image_size))
    return turn, stepping(bare(network, usual_adamw(network, load)), load)


def ecotui_loop(load: Load, folder: Path) -> Loop:
    """Return ecotui's, with everything on, and in what it chooses where all have defaults."""
    turn, run = Turn(), run_in(folder)
    writer = EventWriter(run.events)
    config = _ecotuis_config(load)
    parts = parts_of(config, writer)
    if load.is_default:
        wish = open_formats(parts, config.compute)
        if wish is not None:
            print(choose_formats(parts, wish, Budget(120.0, lambda: None)), file=sys.stderr)
    turn.wait_at(parts.trainable.network)
    return turn, stepping(guarded(parts, run, writer), load)


def _ecotuis_config(load: Load) -> ResolvedConfig:
    asked = {} if load.is_default else {"precision": "fp32", "channels_last": False}
    compute = {**asked, "threads": torch.get_num_threads()}
    return config_of(load.model, load.image_size, load.batch_size, compute)


def timm_loop(load: Load, *, clip: float | None = None) -> Loop:
    """Return a loop of timm's parts: mean loss, clipping, schedule and a line now and then."""
    turn = Turn()
    network = turn.wait_at(network_of(load.model, load.image_size))
    fused = {} if load.is_default else {"fused": True}
    optimizer = timm.optim.create_optimizer_v2(
        network, opt="adamw", lr=RATE, weight_decay=DECAY, **fused
    )
    schedule = timm.scheduler.CosineLRScheduler(optimizer, t_initial=10**6, t_in_epochs=False)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    losses = timm.utils.AverageMeter()
    log = logging.getLogger("train")

    def loop() -> None:
        for number, row in enumerate(DataLoader(Pictures(load), load.batch_size)):
            loss = loss_of(network(row["images"]), row["labels"])
            losses.update(loss.item(), load.batch_size)
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                timm.utils.dispatch_clip_grad(network.parameters(), value=clip, mode="norm")
            optimizer.step()
            if number % LOG_INTERVAL == 0:
                log.info("step %d: loss %.4g (%.3g)", number, losses.val, losses.avg)
            schedule.step_update(number + 1, metric=losses.avg)

    return turn, loop


def lightning_loop(load: Load, folder: Path, *, clip: float | None = None) -> Loop:
    """Return Lightning's Trainer as it comes, logging the loss."""
    import lightning

    turn = Turn()

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = turn.wait_at(network_of(load.model, load.image_size))

        def training_step(self, row: Row, _: int) -> torch.Tensor:
            logits = self.network(row["images"])
            loss = cross_entropy(logits, row["labels"], label_smoothing=SMOOTHING)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return usual_adamw(self.network, load)

    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, default_root_dir=folder, gradient_clip_val=clip
    )
    rows = DataLoader(Pictures(load), load.batch_size)
    return turn, lambda: trainer.fit(Module(), rows)


def hugging_face_loop(load: Load, folder: Path, *, clip: float = CLIP) -> Loop:
    """Return Hugging Face's Trainer as it comes: fused AdamW, clipping, a log every 10 steps."""
    import transformers

    turn = Turn()
    network = turn.wait_at(network_of(load.model, load.image_size))
    settings = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=load.batch_size,
        max_steps=10**6,
        learning_rate=RATE,
        weight_decay=DECAY,
        max_grad_norm=clip,
        logging_steps=10,
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(Scored(network), settings, train_dataset=Pictures(load))
    return turn, lambda: trainer.train() and None


def loops_of(load: Load, folder: Path) -> dict[str, Loop]:
    """Return everybody's loop."""

    def place(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    if load.is_default:
        return {
            "bare": bare_loop(load),
            "ecotui": ecotui_loop(load, place("ecotui")),
            "bare_as_torch_comes": plain_loop(load),
            "timm": timm_loop(load),
            "lightning": lightning_loop(load, place("lightning")),
            "hugging_face": hugging_face_loop(load, place("hugging_face")),
        }
    return {
        "bare": bare_loop(load),
        "ecotui": ecotui_loop(load, place("ecotui")),
        "bare_clipping": bare_loop(load, clip=CLIP),
        "timm_clipping": timm_loop(load, clip=CLIP),
        "lightning_clipping": lightning_loop(load, place("lightning_clipping"), clip=CLIP),
        "hugging_face_clipping": hugging_face_loop(load, place("hugging_face_clipping")),
        "timm": timm_loop(load),
        "lightning": lightning_loop(load, place("lightning")),
        "hugging_face": hugging_face_loop(load, place("hugging_face"), clip=0.0),
        "bare_again": bare_loop(load),
    }


def measure(load: Load) -> Found:
    """Measure in this process."""
    torch.set_num_threads((os.cpu_count() or 1) if load.is_default else 1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        loops = loops_of(load, Path(place))
        take_turns(loops, load.steps + WARM_UP)
    times = {name: turn.times[WARM_UP:] for name, (turn, _) in loops.items()}
    return {
        "speeds": {
            name: median_ratio(times["bare"], own) for name, own in times.items() if name != "bare"
        },
        "ecotui_against": {
            name: median_ratio(own, times["ecotui"])
            for name, own in times.items()
            if _is_peer(name) and (load.is_default or name.endswith("_clipping"))
        },
        "milliseconds": {"bare_step": 1000 * statistics.median(times["bare"])},
    }


def _is_peer(name: str) -> bool:
    return name.startswith(("timm", "lightning", "hugging_face"))


def _in_a_process(name: str) -> Found:
    threads = {} if LOADS[name].is_default else {"OMP_NUM_THREADS": "1"}
    # The frameworks print bars and notes: what was found is the last line.
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.loop", "--measure", name),
        env={**os.environ, **threads, "HF_HUB_OFFLINE": "1"},
        cwd=RESULT.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr[-4000:])
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def summed_up(name: str) -> dict[str, Any]:
    """Return medians over fresh processes, what each of them found, and what is claimed."""
    load = LOADS[name]
    runs = [_in_a_process(name) for _ in range(load.processes)]
    medians = {
        part: {key: statistics.median(run[part][key] for run in runs) for key in keys}
        for part, keys in runs[0].items()
    }
    return {
        "model": load.model,
        "image_size": load.image_size,
        "batch_size": load.batch_size,
        "steps": load.steps * load.processes,
        **medians,
        "of_each_process": runs,
        "least": load.least,
    }


def main() -> None:
    """Measure, keep and print."""
    found: dict[str, Any] = {"torch": torch.__version__, "threads": os.cpu_count()}
    if RESULT.is_file():
        with suppress(ValueError):
            found = {**json.loads(RESULT.read_text(encoding="utf-8")), **found}
    for name in chosen(sys.argv[1:], LOADS):
        found[name] = summed_up(name)
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(f"\n{json.dumps(measure(LOADS[sys.argv[2]]))}", flush=True)
        os._exit(0)  # the loops' threads wait for ever
    main()

"""What the data path does to accuracy: `python -m benchmarks.data_accuracy FOLDER [SEEDS]`.

Claim: photos that are decoded at a part of their size, kept as pictures, and normalised a batch at
a time train a network as well as photos read in the usual way; within the noise between seeds.

FOLDER is TrashNet, with `train.txt`, `val.txt` and `test.txt`. The same short training is done from
scratch with both readers, over the same seeds (3): the same first weights, optimizer, schedule and
crops of the same kind. The usual way is timm's `create_loader`: Pillow decodes all of a photo,
crops are resized with antialiasing, every picture is augmented as a float image. Validation and
test photos are scored once, at the end of each training, together, as nothing is chosen by them.

The photos of TrashNet have 256 pixels on the short side: at 64 pixels most are decoded at a half,
and what is kept as pictures has been resized once before it is cropped.

Prints one JSON object, keeps it in `benchmarks/results/data_accuracy.json`.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import timm
import timm.data
import timm.optim
import timm.scheduler
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.parts.keeping import keep
from benchmarks.parts.timm_script import linked
from ecotui.config import AugmentConfig, DataConfig
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.loader import EvalLoader, TrainLoader
from ecotui.engine.data.picture_cache import PictureCache
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec

RESULT = Path(__file__).with_name("results") / "data_accuracy.json"
DEFAULT_SEEDS = 3
MODEL, SIDE, BATCH, EPOCHS, RATE = "regnetx_002", 64, 32, 24, 3e-3
SCALE, JITTER, SMOOTHING = (0.35, 1.0), 0.2, 0.1
CACHED_SIDE = 2 * SIDE
MAX_PIXELS = 50_000_000
MEAN, STD = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
SPEC = InputSpec(SIDE, MEAN, STD, "bilinear", 0.875)

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Timms:
    """The usual way."""

    def __init__(self, folder: Path, seed: int) -> None:
        timm.utils.random_seed(seed)
        shared = {"num_workers": 1, "mean": MEAN, "std": STD, "device": torch.device("cpu")}
        self._train = timm.data.create_loader(
            timm.data.create_dataset("", root=str(folder / "train")),
            (3, SIDE, SIDE),
            BATCH,
            is_training=True,
            scale=SCALE,
            color_jitter=JITTER,
            interpolation="bilinear",
            **shared,
        )
        self._held_out = [
            timm.data.create_loader(
                timm.data.create_dataset("", root=str(folder / split)),
                (3, SIDE, SIDE),
                BATCH,
                interpolation="bilinear",
                crop_pct=SPEC.crop_fraction,
                **shared,
            )
            for split in ("val", "test")
        ]

    def epoch(self, _: int) -> Batches:
        """Read the training photos."""
        yield from self._train

    def held_out(self) -> Batches:
        """Read validation and test photos."""
        for loader in self._held_out:
            yield from loader


class Ours:
    """The data path that is judged."""

    def __init__(self, index: DataIndex, cache: Path, seed: int, stack: ExitStack) -> None:
        transforms = build_transforms(SPEC, AugmentConfig(scale=SCALE, color_jitter=JITTER))
        self._normalise = transforms.normalisation
        shared: dict[str, Any] = {
            "workers": 1,
            "max_pixels": MAX_PIXELS,
            "image_size": SIDE,
            "cache": PictureCache(
                cache,
                side=CACHED_SIDE,
                cap_bytes=10**9,
                max_pixels=MAX_PIXELS,
                num_samples=len(index.names),
            ),
        }
        self._train = stack.enter_context(
            closing(
                TrainLoader(
                    index,
                    transforms.train,
                    batch_size=BATCH,
                    seed=seed,
                    sampling="shuffled",
                    **shared,
                )
            )
        )
        self._held_out = [
            stack.enter_context(
                closing(EvalLoader(index, split, transforms.evaluate, batch_size=BATCH, **shared))
            )
            for split in ("val", "test")
        ]

    def epoch(self, number: int) -> Batches:
        """Read the training photos."""
        for batch in self._train.epoch(number):
            yield self._normalise(batch.images_BCHW), batch.labels_B

    def held_out(self) -> Batches:
        """Read validation and test photos."""
        for loader in self._held_out:
            for batch in loader:
                yield self._normalise(batch.images_BCHW), batch.labels_B


def accuracy(reader: Timms | Ours, num_train: int, num_classes: int, seed: int) -> float:
    """Train from scratch, and return the accuracy on all photos held out."""
    torch.manual_seed(seed)
    network = timm.create_model(MODEL, num_classes=num_classes)
    network = network.to(memory_format=torch.channels_last)
    optimizer = timm.optim.create_optimizer_v2(
        network, opt="adamw", lr=RATE, weight_decay=0.05, fused=True
    )
    steps = math.ceil(num_train / BATCH)
    schedule = timm.scheduler.CosineLRScheduler(
        optimizer, t_initial=EPOCHS * steps, warmup_t=steps, t_in_epochs=False
    )
    taken = 0
    for number in range(EPOCHS):
        network.train()
        for images, labels in reader.epoch(number):
            loss = cross_entropy(_scores(network, images), labels, label_smoothing=SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            taken += 1
            schedule.step_update(taken)
    network.eval()
    right, count = 0, 0
    with torch.inference_mode():
        for images, labels in reader.held_out():
            right += int((_scores(network, images).argmax(1) == labels).sum())
            count += len(labels)
    return right / count


def _scores(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits: torch.Tensor = network(images.contiguous(memory_format=torch.channels_last))
    return logits.float()


def compared(trashnet: Path, place: Path, seeds: int) -> dict[str, Any]:
    """Return what both ways came to with each seed, and how far apart they are."""
    index = build_index(DataConfig(root=str(trashnet)), 0)
    folder = linked(index, place / "photos")
    num_train, num_classes = len(index.splits["train"]), len(index.class_names)
    found: dict[str, list[float]] = {"timm": [], "ecotui": []}
    for seed in range(seeds):
        ways: dict[str, Callable[[ExitStack, int], Timms | Ours]] = {
            "timm": lambda _, seed: Timms(folder, seed),
            "ecotui": lambda stack, seed: Ours(index, place / "pictures", seed, stack),
        }
        for name, way in ways.items():
            started = time.monotonic()
            with ExitStack() as stack:
                reached = accuracy(way(stack, seed), num_train, num_classes, seed)
            found[name].append(reached)
            took = time.monotonic() - started
            print(f"seed {seed}, {name}: {reached:.4f} in {took:.0f} s", file=sys.stderr)
    spread = math.sqrt(statistics.mean(statistics.variance(each) for each in found.values()))
    return {
        **found,
        "seeds": seeds,
        "epochs": EPOCHS,
        "side": SIDE,
        "mean_timm": statistics.mean(found["timm"]),
        "mean_ecotui": statistics.mean(found["ecotui"]),
        "difference": statistics.mean(found["ecotui"]) - statistics.mean(found["timm"]),
        "spread_between_seeds": spread,
        "noise_of_the_difference": spread * math.sqrt(2 / seeds),
    }


def main() -> int:
    """Measure, keep and print; 1 where accuracy suffers by more than twice the noise."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        print(
            "left out: it needs the folder of TrashNet: benchmarks.data_accuracy FOLDER",
            file=sys.stderr,
        )
        return 2
    trashnet = Path(sys.argv[1]).resolve()
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_SEEDS
    with tempfile.TemporaryDirectory() as place:
        found = compared(trashnet, Path(place), seeds)
    keep(RESULT, found)
    print(json.dumps(found))
    return 0 if found["difference"] >= -2 * found["noise_of_the_difference"] else 1


if __name__ == "__main__":
    sys.exit(main())

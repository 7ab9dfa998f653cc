"""Training as timm's `train.py` does it by default, made of timm's functions.

`python -m benchmarks.parts.timm_script FOLDER SECONDS`: TrashNet, with its lists, from scratch.
SGD with Nesterov momentum, a learning rate of 0.1 for 256 images a step, cosine with warm-up,
crops from 0.08 of the area, colour jitter of 0.4, label smoothing of 0.1, float32; the weights
that are best on the validation split are scored on the test split. Model, side of the images and
images a step are those of `configs/trashnet.toml`. The schedule fits the time: an epoch is timed
first, and is not counted. Prints one JSON object.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import timm
import timm.data
import timm.loss
import timm.optim
import timm.scheduler
import timm.utils
import torch
from torch import nn

from ecotui.config import DataConfig
from ecotui.engine.data.index import DataIndex, build_index

MODEL, SIDE, BATCH = "regnetx_002", 96, 32
RATE = 0.1 * BATCH / 256
WARM_UP_EPOCHS, WORKERS, SEED = 5, 4, 42


def linked(index: DataIndex, folder: Path) -> Path:
    """Make folders of links to the photos, a split and a class each."""
    for split, numbers in index.splits.items():
        for number in numbers:
            link = folder / split / index.class_names[index.labels[number]] / f"{number}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(index.path_of(int(number)))
    return folder


def loader(folder: Path, split: str) -> Any:
    """Return timm's loader of a split, with its defaults."""
    return timm.data.create_loader(
        timm.data.create_dataset("", root=str(folder / split)),
        (3, SIDE, SIDE),
        BATCH,
        is_training=split == "train",
        num_workers=WORKERS,
        device=torch.device("cpu"),
    )


def train_epoch(network: nn.Module, train: Any, optimizer: torch.optim.Optimizer) -> None:
    """Train for an epoch."""
    loss_of = timm.loss.LabelSmoothingCrossEntropy(0.1)
    network.train()
    for images, labels in train:
        loss = loss_of(network(images), labels)
        loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def accuracy(network: nn.Module, held_out: Any) -> float:
    """Return the share of photos told right."""
    network.eval()
    right = count = 0
    with torch.inference_mode():
        for images, labels in held_out:
            right += int((network(images).argmax(1) == labels).sum())
            count += len(labels)
    return right / count


def fresh(num_classes: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return network and optimizer before the first step."""
    timm.utils.random_seed(SEED)
    network = timm.create_model(MODEL, num_classes=num_classes)
    optimizer = timm.optim.create_optimizer_v2(
        network, opt="sgd", lr=RATE, momentum=0.9, weight_decay=2e-5
    )
    return network, optimizer


def trained(trashnet: Path, seconds: float) -> dict[str, float]:
    """Train for about so many seconds, and return what was reached."""
    index = build_index(DataConfig(root=str(trashnet)), 0)
    with tempfile.TemporaryDirectory() as place:
        folder = linked(index, Path(place))
        train, val, test = (loader(folder, split) for split in ("train", "val", "test"))
        network, optimizer = fresh(len(index.class_names))
        epoch_seconds = seconds
        for _ in range(2):  # the first starts the workers
            started = time.monotonic()
            train_epoch(network, train, optimizer)
            accuracy(network, val)
            epoch_seconds = time.monotonic() - started
        epochs = max(WARM_UP_EPOCHS + 1, int(seconds / epoch_seconds))
        network, optimizer = fresh(len(index.class_names))
        schedule = timm.scheduler.CosineLRScheduler(
            optimizer, t_initial=epochs, warmup_t=WARM_UP_EPOCHS, warmup_lr_init=1e-5
        )
        best, kept = -1.0, network.state_dict()
        started = time.monotonic()
        for epoch in range(epochs):
            schedule.step(epoch)
            train_epoch(network, train, optimizer)
            reached = accuracy(network, val)
            if reached > best:
                best, kept = reached, copy.deepcopy(network.state_dict())
        took = time.monotonic() - started
        network.load_state_dict(kept)
        return {"test_accuracy": accuracy(network, test), "epochs": epochs, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(trained(Path(sys.argv[1]), float(sys.argv[2]))))

"""Loaders for fault tests: their batches as hashes, their workers, and who is told."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ecotui.config import AugmentConfig, DataConfig
from ecotui.engine.data import dataset
from ecotui.engine.data.dataset import Batch
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.loader import EvalLoader, TrainLoader
from ecotui.engine.data.sources import Source, open_source
from ecotui.engine.data.supervision import Rebuilt, Supervision
from ecotui.engine.data.transforms import Transforms, build_transforms
from ecotui.engine.input_spec import InputSpec

CAP = 1_000_000
CLASSES = ("cat", "dog", "owl")
Opening = Callable[..., Source]


def make_photos(root: Path, per_class: int) -> Path:
    """Write small photos of noise, each another."""
    generator = np.random.Generator(np.random.PCG64(11))
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            noise = generator.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number:03d}.png")
    return root


def read_index(root: Path) -> DataIndex:
    return build_index(DataConfig(root=str(root), val_fraction=0.25), 0)


def make_transforms(size: int = 8) -> Transforms:
    spec = InputSpec(size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 0.9)
    return build_transforms(spec, AugmentConfig(auto_augment="rand-m9-mstd0.5-inc1"))


class Watched:
    """A loader's supervision that remembers what it was told and how often it was asked."""

    def __init__(self, patience_seconds: float = 30.0) -> None:
        self.rebuilt: list[Rebuilt] = []
        self.attended: list[float] = []
        self.supervision = Supervision(
            patience_seconds,
            patience_seconds,
            lambda: self.attended.append(time.monotonic()),
            self.rebuilt.append,
        )

    @property
    def longest_gap_seconds(self) -> float:
        return float(np.diff(self.attended).max())


def train_loader(
    index: DataIndex, transforms: Transforms, workers: int, watched: Watched | None = None
) -> TrainLoader:
    return TrainLoader(
        index,
        transforms.train,
        batch_size=4,
        seed=1,
        sampling="shuffled",
        workers=workers,
        max_pixels=CAP,
        supervision=(watched or Watched()).supervision,
    )


def eval_loader(
    index: DataIndex, transforms: Transforms, workers: int, watched: Watched
) -> EvalLoader:
    return EvalLoader(
        index,
        "val",
        transforms.evaluate,
        batch_size=4,
        workers=workers,
        max_pixels=CAP,
        supervision=watched.supervision,
    )


def digest(batch: Batch) -> str:
    """Return a hash of all that a batch says."""
    said = hashlib.sha256(batch.images_BCHW.contiguous().numpy().tobytes())
    said.update(repr((batch.labels_B.tolist(), batch.sample_ids, batch.failures)).encode())
    return said.hexdigest()


def digests(batches: Iterable[Batch]) -> list[str]:
    return [digest(batch) for batch in batches]


def worker_pids() -> list[int]:
    """Return the living children of this process."""
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def zombies() -> list[str]:
    """Return the children of this process that nobody has waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] == "Z" and int(fields[1]) == os.getpid():
                found.append(entry.name)
    return found


def at_file(name: str, act: Callable[[], object]) -> Opening:
    """Return an `open_source` that does something first where it comes to one file."""

    def acting(path: Path, *, max_pixels: int) -> Source:
        if not name or path.name == name:
            act()
        return open_source(path, max_pixels=max_pixels)

    return acting


DECODE = (dataset, "open_source")
"""Where the data set finds what opens and decodes a photo, for monkeypatch."""

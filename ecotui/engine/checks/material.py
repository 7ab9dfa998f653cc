"""What the checks look at: real samples, and the first batches of the real loaders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from PIL import Image

from ecotui.config import PreflightConfig
from ecotui.engine.assembly import Parts
from ecotui.engine.checks.budget import Budget
from ecotui.engine.control import Control
from ecotui.engine.data.dataset import Batch, Failure, PhotoDataset, Replaced, Sample
from ecotui.engine.data.decode import DecodeError, decode
from ecotui.engine.data.transforms import Transform
from ecotui.events import SplitName
from ecotui.paths import RunDir
from ecotui.text import visible

NUM_SAMPLES = {"quick": 8, "full": 32}
"""Photos of each split that are looked at one by one."""

PHOTO_SECONDS = 10.0
"""A photo that takes longer to come counts as one that never does: slow network drives answer
within a second or two, and a training waits longer before it gives one up."""

SAMPLING_SHARE = 0.2
"""Of the time left, that reading the samples of a split may take."""

EPOCH = 0
"""Whose augmentation is looked at: the first one's."""


@dataclass(slots=True)
class Material:
    """The run under examination.

    Attributes:
        parts: Of the run.
        run: Where results are written.
        config: What to check.
        control: Looked at between two photos.
        budget: The time that is left.
        is_trained: The state of a checkpoint has been restored.
        samples: By split, transformed.
        failures: By split, photos that gave no sample.
        seconds_a_sample: Reading and transforming one took, on average.
        seconds_an_image: Scoring one took; 0 where none was scored.
        batches: The first one of each loader, where they were read.
        num_unsampled: Photos that were to be samples, for which there was no time.
    """

    parts: Parts
    run: RunDir
    config: PreflightConfig
    control: Control
    budget: Budget
    is_trained: bool = False
    samples: dict[SplitName, list[Sample]] = field(default_factory=dict)
    failures: dict[SplitName, list[Failure]] = field(default_factory=dict)
    seconds_a_sample: float = 0.0
    seconds_an_image: float = 0.0
    batches: dict[SplitName, Batch] = field(default_factory=dict)
    num_unsampled: int = 0

    @property
    def image_size(self) -> int:
        """Side of the model's input, pixels."""
        return self.parts.built.spec.image_size

    def poll(self) -> None:
        """Look at requests; called between two pieces of work."""
        self.control.poll(0)

    def transform_of(self, split: SplitName) -> Transform:
        """Return the transform object that the loader of a split uses."""
        transforms = self.parts.transforms
        return transforms.train if split == "train" else transforms.evaluate

    def dataset(self, split: SplitName) -> PhotoDataset:
        """Return a data set like the loader's, around the very same transform."""
        dataset = PhotoDataset(
            self.parts.index,
            self.transform_of(split),
            seed=self.parts.config.train.seed if split == "train" else 0,
            max_pixels=self.parts.config.data.max_pixels,
            cache=self.parts.cache,
        )
        dataset.patience_seconds = self.patience_seconds
        return dataset

    @property
    def patience_seconds(self) -> float:
        """How long a photo may take to come: ten of them that never do still leave time."""
        return min(PHOTO_SECONDS, max(1.0, 0.05 * self.budget.seconds))

    def as_input(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """Return what the model gets of an image that a transform made: float32, normalised."""
        return self.parts.transforms.normalisation(image_CHW)

    def name(self, sample_id: int) -> str:
        """Return the path of a photo, fit to be shown."""
        return visible(self.parts.index.names[sample_id])

    def photo(self, sample_id: int) -> Image.Image | None:
        """Return a photo as it is; None where it cannot be read."""
        index = self.parts.index
        try:
            return decode(index.path_of(sample_id), max_pixels=self.parts.config.data.max_pixels)
        except DecodeError:
            return None

    def take_samples(self, split: SplitName) -> None:
        """Read and transform photos spread evenly over a split."""
        ids = self.parts.index.splits[split]
        count = min(NUM_SAMPLES["full" if self.config.level == "full" else "quick"], len(ids))
        dataset, started = self.dataset(split), time.monotonic()
        share = self.budget.left * SAMPLING_SHARE
        self.samples[split], self.failures[split] = [], []
        for sample_id in ids[np.linspace(0, len(ids) - 1, count).astype(np.int64)].tolist():
            self.poll()
            is_over = time.monotonic() - started >= share
            if is_over and (self.samples[split] or not self.budget.left):
                break
            item = dataset[EPOCH, sample_id]
            if isinstance(item, Sample):
                self.samples[split].append(item)
            else:
                failure = item.failure if isinstance(item, Replaced) else item
                self.failures[split].append(failure)
        done = len(self.samples[split]) + len(self.failures[split])
        self.num_unsampled += count - done
        self.seconds_a_sample = (time.monotonic() - started) / max(1, done)

    def affordable(self, count: int, passes: float, fraction: float) -> int:
        """Return for how many of so many images there is time, two at least.

        Args:
            count: Images wanted.
            passes: Forward passes that each takes; a step counts as three.
            fraction: Of the time left, that this may take, 0 to 1.
        """
        seconds = self.seconds_an_image * passes
        fitting = count if not seconds else int(self.budget.left * fraction / seconds)
        return min(count, max(2, fitting))

    @property
    def all_samples(self) -> list[Sample]:
        """Those of training, then those of validation."""
        return [sample for samples in self.samples.values() for sample in samples]


@contextmanager
def attended(
    parts: Parts, attend: Callable[[], None], patience_seconds: float, first_seconds: float
) -> Iterator[None]:
    """Have requests looked at while a loader is waited for, with less patience than a training.

    Args:
        parts: Of the run; its supervision is what it was afterwards.
        attend: Called twice a second.
        patience_seconds: Longest time for a photo.
        first_seconds: The same before a worker's first batch.
    """
    own = parts.supervision
    before = replace(own)
    own.attend, own.in_process_seconds = attend, patience_seconds
    own.patience_seconds = min(own.patience_seconds, patience_seconds)
    own.first_patience_seconds = min(own.first_patience_seconds, first_seconds)
    try:
        yield
    finally:
        for each in fields(before):
            setattr(own, each.name, getattr(before, each.name))

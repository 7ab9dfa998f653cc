"""Samples by key, and batches of them; a sample that fails is named, not fatal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import Dataset

from ecotui.engine.data.arrival import reading_seconds
from ecotui.engine.data.decode import DecodeError
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.picture_cache import PictureCache
from ecotui.engine.data.sampler import Key
from ecotui.engine.data.shuffle import shuffled
from ecotui.engine.data.sources import Source, open_source
from ecotui.engine.data.transforms import EvaluationTransform, TrainTransform, Transform
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed
from ecotui.text import visible

_MAX_REPLACEMENTS = 8
"""Samples that are tried in the place of one; where all fail, the data set is what is broken."""

IMAGE_DTYPES = (torch.uint8, torch.float32)

_MAX_MEAN = 1e6
"""Magnitude of an image's mean; normalised ones have a mean of a few units at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo ready for the model.

    Attributes:
        sample_id: See `DataIndex`.
        label: Class of the sample.
        image_CHW: uint8, or float32, normalised.
    """

    sample_id: int
    label: int
    image_CHW: torch.Tensor


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that could not be used.

    Attributes:
        sample_id: See `DataIndex`.
        reason: Why, in plain words, fit to be shown.
    """

    sample_id: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the model sees at once.

    Attributes:
        images_BCHW: uint8, to be normalised on the device (`Compute.to_device`), or float32,
            normalised; `[0, 3, 0, 0]` when every sample failed.
        labels_B: int64, the class of each image.
        sample_ids: Of each image, in order.
        failures: Samples that were to be in the batch and are not.
        num_replaced: How many of those have another sample in their place.
    """

    images_BCHW: torch.Tensor
    labels_B: torch.Tensor
    sample_ids: tuple[int, ...]
    failures: tuple[Failure, ...]
    num_replaced: int = 0

    @property
    def num_keys(self) -> int:
        """How many samples were asked for."""
        return len(self.sample_ids) + len(self.failures) - self.num_replaced

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory; DataLoader calls this by name."""
        return replace(
            self,
            images_BCHW=self.images_BCHW.pin_memory(),
            labels_B=self.labels_B.pin_memory(),
        )


@dataclass(frozen=True, slots=True)
class Replaced:
    """A sample that could not be used, and the one in its place.

    Attributes:
        failure: The one that was asked for.
        sample: The one that is taken.
    """

    failure: Failure
    sample: Sample


Item = Sample | Failure | Replaced
"""What becomes of a key."""


class PhotoDataset(Dataset[Item]):
    """Photos by (epoch, sample id), transformed as a function of that key and the seed.

    Args:
        index: The data set.
        transform: What is done to each photo.
        seed: Of the run.
        max_pixels: Largest photo that is decoded.
        replaces: Whether a sample that cannot be used has another one of its class in its
            place, so that batches keep their size. Not in evaluations.
        image_size: Side of what the transform makes, pixels; None: what it makes is given as it
            is, to whoever looks into it.
        cache: Of decoded pictures; None: photos are decoded each time.
    """

    def __init__(
        self,
        index: DataIndex,
        transform: Transform,
        *,
        seed: int,
        max_pixels: int,
        replaces: bool = False,
        image_size: int | None = None,
        cache: PictureCache | None = None,
    ) -> None:
        self._index = index
        self._transform = transform
        self._uses_numpy = _may_draw_from_numpy(transform)
        self._seed = seed
        self._max_pixels = max_pixels
        self._replaces = replaces
        self._image_size = image_size
        self._cache = cache
        self._left_out: dict[int, str] = {}
        self.patience_seconds: float | None = None
        """How long a file may take to come, where nobody watches over this process; None: as long
        as it takes."""

    def leave_out(self, sample_id: int, reason: str) -> None:
        """Read a sample no more, in processes that are started from now on."""
        self._left_out[sample_id] = reason

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Forget, after a block, which samples were left out in it."""
        before = dict(self._left_out)
        try:
            yield
        finally:
            self._left_out = before

    def __getitem__(self, key: Key) -> Item:
        """Return the sample, another one in its place, or why there is none."""
        epoch, sample_id = key
        found = self._read(epoch, sample_id, sample_id)
        if isinstance(found, Sample) or not self._replaces:
            return found
        other = self.replacement(epoch, sample_id)
        return found if other is None else Replaced(found, other)

    def replacement(self, epoch: int, sample_id: int) -> Sample | None:
        """Return the sample that stands in for another one: a function of seed, epoch and id.

        Of the same class, so that what is learned is not shifted towards others, and
        with an augmentation of its own, as it may be in the epoch already.

        Args:
            epoch: Decides which one, and its augmentation.
            sample_id: Of the sample that cannot be used.

        Returns:
            None where some that were tried cannot be used either.
        """
        label = self._index.labels[sample_id]
        members = self._index.splits["train"]
        members = members[(self._index.labels[members] == label) & (members != sample_id)]
        if not len(members):
            return None
        drawn = shuffled(len(members), derive_seed(self._seed, "replace", epoch, sample_id))
        for other in members[drawn[:_MAX_REPLACEMENTS]].tolist():
            found = self._read(epoch, other, sample_id)
            if isinstance(found, Sample):
                return found
        return None

    def _read(self, epoch: int, sample_id: int, asked_id: int) -> Sample | Failure:
        if sample_id in self._left_out:
            return Failure(sample_id, self._left_out[sample_id])
        place = (sample_id,) if asked_id == sample_id else (sample_id, asked_id)
        path, patience = self._index.path_of(sample_id), self.patience_seconds
        seed = derive_seed(self._seed, "augment", epoch, *place)
        if patience is not None and reading_seconds(path, patience) is None:
            return Failure(sample_id, f"reading it did not end within {patience:.0f} s")
        try:
            source = self._opened(sample_id, path)
            with borrowed_randomness(seed, with_numpy=self._uses_numpy):
                image_CHW = self._made(source)
        except DecodeError as error:
            return Failure(sample_id, error.reason)
        except Exception as error:
            told = visible(f"{type(error).__name__}: {error}", limit=300)
            return Failure(sample_id, f"cannot be transformed: {told}")
        if self._image_size is not None and (fault := fault_of(image_CHW, self._image_size)):
            return Failure(sample_id, fault)
        return Sample(sample_id, int(self._index.labels[sample_id]), image_CHW)

    def _opened(self, sample_id: int, path: Path) -> Source:
        if self._cache is not None:
            return self._cache.open(sample_id, path)
        return open_source(path, max_pixels=self._max_pixels)

    def _made(self, source: Source) -> torch.Tensor:
        if isinstance(self._transform, TrainTransform | EvaluationTransform):
            return self._transform.of(source)
        return self._transform(source.pixels(1.0).upright_image())


def _may_draw_from_numpy(transform: Transform) -> bool:
    if isinstance(transform, TrainTransform | EvaluationTransform):
        return transform.draws_from_numpy
    return True


def fault_of(image_CHW: torch.Tensor, image_size: int) -> str:
    """Return why an image must not reach the model; empty where it may.

    Args:
        image_CHW: What the transforms made.
        image_size: Side that it must have, pixels.
    """
    shape = tuple(image_CHW.shape)
    if shape != (3, image_size, image_size):
        return f"its shape is {shape} after the transforms, not {(3, image_size, image_size)}"
    if image_CHW.dtype not in IMAGE_DTYPES:
        return f"it is {image_CHW.dtype} after the transforms, not torch.uint8"
    if not has_usable_numbers(image_CHW):
        return "its numbers are not finite, or out of all proportion, after the transforms"
    return ""


def has_usable_numbers(images: torch.Tensor) -> bool:
    """Say whether images can be computed with, normalised ones or those that are yet to be.

    By their sum, which NaN, infinity and what overflows later pass through: ten times
    faster than a look at each number.

    Args:
        images: One or several.
    """
    if images.dtype == torch.uint8:
        return True
    return abs(float(images.sum())) <= _MAX_MEAN * images.numel()


def collate(items: Sequence[Item]) -> Batch:
    """Put samples together into a batch, in order."""
    samples = [
        item.sample if isinstance(item, Replaced) else item
        for item in items
        if not isinstance(item, Failure)
    ]
    failures = [
        item.failure if isinstance(item, Replaced) else item
        for item in items
        if not isinstance(item, Sample)
    ]
    images = [sample.image_CHW for sample in samples]
    return Batch(
        images_BCHW=torch.stack(images) if images else torch.empty(0, 3, 0, 0, dtype=torch.uint8),
        labels_B=torch.tensor([sample.label for sample in samples], dtype=torch.int64),
        sample_ids=tuple(sample.sample_id for sample in samples),
        failures=tuple(failures),
        num_replaced=sum(isinstance(item, Replaced) for item in items),
    )

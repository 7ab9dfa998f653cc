"""Samples by key, and batches of them; a sample that fails is named, not fatal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from ecotui.engine.data.decode import DecodeError, decode
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.sampler import Key
from ecotui.engine.data.transforms import Transform
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed
from ecotui.text import visible


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo ready for the model.

    Attributes:
        sample_id: See `DataIndex`.
        label: Class of the sample.
        image_CHW: float32, normalised.
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
        images_BCHW: float32, normalised; `[0, 3, 0, 0]` when every sample failed.
        labels_B: int64, the class of each image.
        sample_ids: Of each image, in order.
        failures: Samples that were to be in the batch and are not.
    """

    images_BCHW: torch.Tensor
    labels_B: torch.Tensor
    sample_ids: tuple[int, ...]
    failures: tuple[Failure, ...]

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory; DataLoader calls this by name."""
        return replace(
            self,
            images_BCHW=self.images_BCHW.pin_memory(),
            labels_B=self.labels_B.pin_memory(),
        )


class PhotoDataset(Dataset[Sample | Failure]):
    """Photos by (epoch, sample id), transformed as a function of that key and the seed.

    Args:
        index: The data set.
        transform: What is done to each photo.
        seed: Of the run.
        max_pixels: Largest photo that is decoded.
    """

    def __init__(
        self, index: DataIndex, transform: Transform, *, seed: int, max_pixels: int
    ) -> None:
        self._index = index
        self._transform = transform
        self._seed = seed
        self._max_pixels = max_pixels
        self._left_out: dict[int, str] = {}

    def leave_out(self, sample_id: int, reason: str) -> None:
        """Read a sample no more, in processes that are started from now on."""
        self._left_out[sample_id] = reason

    def __getitem__(self, key: Key) -> Sample | Failure:
        """Return the sample, or why there is none."""
        epoch, sample_id = key
        if sample_id in self._left_out:
            return Failure(sample_id, self._left_out[sample_id])
        try:
            image = decode(self._index.path_of(sample_id), max_pixels=self._max_pixels)
            with borrowed_randomness(derive_seed(self._seed, "augment", epoch, sample_id)):
                image_CHW = self._transform(image)
        except DecodeError as error:
            return Failure(sample_id, error.reason)
        except Exception as error:
            told = visible(f"{type(error).__name__}: {error}", limit=300)
            return Failure(sample_id, f"cannot be transformed: {told}")
        return Sample(sample_id, int(self._index.labels[sample_id]), image_CHW)


def collate(items: Sequence[Sample | Failure]) -> Batch:
    """Put samples together into a batch, in order."""
    samples = [item for item in items if isinstance(item, Sample)]
    images = [sample.image_CHW for sample in samples]
    return Batch(
        images_BCHW=torch.stack(images) if images else torch.empty(0, 3, 0, 0),
        labels_B=torch.tensor([sample.label for sample in samples], dtype=torch.int64),
        sample_ids=tuple(sample.sample_id for sample in samples),
        failures=tuple(item for item in items if isinstance(item, Failure)),
    )

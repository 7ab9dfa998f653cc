"""Batches for training and evaluation, read ahead by worker processes.

The bits of a batch depend on seed, epoch and sample ids, never on the number of
workers, nor on what becomes of them; nothing here draws from the process's own generators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from ecotui.engine.data.dataset import (
    Batch,
    Failure,
    Item,
    PhotoDataset,
    Replaced,
    Sample,
    collate,
)
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.picture_cache import PictureCache
from ecotui.engine.data.sampler import BatchesInOrder, EpochSampler, Sampling
from ecotui.engine.data.supervision import Supervision
from ecotui.engine.data.supply import Supply
from ecotui.engine.data.transforms import Transform
from ecotui.events import SplitName

__all__ = ["Batch", "EvalLoader", "Failure", "TrainLoader"]


class TrainLoader:
    """Training batches, an epoch at a time; its workers live until `close`.

    Args:
        index: The data set; its train split is read.
        transform: Random augmentation and normalisation.
        batch_size: Images a batch.
        seed: Of the run.
        sampling: `shuffled` or `balanced`.
        workers: Processes that read ahead; 0 reads in this one.
        max_pixels: Largest photo that is decoded.
        pin_memory: Deliver page-locked tensors, for copies to CUDA.
        supervision: Patience with the workers, and who is told of them; one for all
            loaders of a run.
        image_size: Side of what the transform makes, pixels; None: it is not looked at.
        cache: Of decoded pictures; None: photos are decoded each time.
    """

    def __init__(  # noqa: PLR0913
        self,
        index: DataIndex,
        transform: Transform,
        *,
        batch_size: int,
        seed: int,
        sampling: Sampling,
        workers: int,
        max_pixels: int,
        pin_memory: bool = False,
        supervision: Supervision | None = None,
        image_size: int | None = None,
        cache: PictureCache | None = None,
    ) -> None:
        self._sampler = EpochSampler(
            index.splits["train"], index.labels, batch_size=batch_size, seed=seed, sampling=sampling
        )
        self._dataset = PhotoDataset(
            index,
            transform,
            seed=seed,
            max_pixels=max_pixels,
            replaces=True,
            image_size=image_size,
            cache=cache,
        )
        self._supply = Supply(
            self._dataset,
            workers,
            supervision or Supervision(),
            pin_memory=pin_memory,
            name_of=index.names.__getitem__,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a whole epoch."""
        return self._sampler.batches_per_epoch

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch from one on; those before it cost nothing.

        One epoch at a time: a new one ends the one before, finished or not.

        Args:
            epoch: Decides order and augmentation.
            start_batch: First batch to deliver, from 0.

        Raises:
            LoaderFaultError: While iterating, too: workers die or hang again and again.
        """
        self._sampler.begin(epoch, start_batch)
        return self._supply.read(iter(self._sampler))

    def leave_out(self, sample_id: int, reason: str) -> None:
        """Read a sample no more, in epochs and parts of epochs that begin from now on."""
        self._supply.leave_out(sample_id, reason)

    def without(self, batch: Batch, reasons: Mapping[int, str], epoch: int) -> Batch:
        """Return a batch with other samples in the place of some, as if those had failed.

        Args:
            batch: Whose samples were read in this epoch.
            reasons: Why each is not to be used, by its position in the batch.
            epoch: Decides which ones are taken instead.
        """
        items: list[Item] = []
        for position, sample_id in enumerate(batch.sample_ids):
            if position not in reasons:
                label = int(batch.labels_B[position])
                items.append(Sample(sample_id, label, batch.images_BCHW[position]))
                continue
            failure = Failure(sample_id, reasons[position])
            other = self._dataset.replacement(epoch, sample_id)
            items.append(failure if other is None else Replaced(failure, other))
        made = collate(items)
        return replace(
            made,
            failures=batch.failures + made.failures,
            num_replaced=batch.num_replaced + made.num_replaced,
        )

    def forgiving(self) -> AbstractContextManager[None]:
        """Forget, after a block, which samples workers were lost at in it."""
        return self._supply.forgiving()

    def close(self) -> None:
        """End the workers, also in the middle of an epoch."""
        self._supply.close()


class EvalLoader:
    """Batches of a split in the order of sample ids, the same at each pass.

    Args:
        index: The data set.
        split: Which of its splits.
        transform: Resizing and normalisation.
        batch_size: Images a batch; the last one may be smaller.
        workers: Processes that read ahead; 0 reads in this one.
        max_pixels: Largest photo that is decoded.
        pin_memory: Deliver page-locked tensors, for copies to CUDA.
        supervision: Patience with the workers, and who is told of them; one for all
            loaders of a run.
        image_size: Side of what the transform makes, pixels; None: it is not looked at.
        cache: Of decoded pictures; None: photos are decoded each time.
    """

    def __init__(  # noqa: PLR0913
        self,
        index: DataIndex,
        split: SplitName,
        transform: Transform,
        *,
        batch_size: int,
        workers: int,
        max_pixels: int,
        pin_memory: bool = False,
        supervision: Supervision | None = None,
        image_size: int | None = None,
        cache: PictureCache | None = None,
    ) -> None:
        self._batches = BatchesInOrder(index.splits[split], batch_size)
        self.num_images = len(index.splits[split])
        self._supply = Supply(
            PhotoDataset(
                index,
                transform,
                seed=0,
                max_pixels=max_pixels,
                image_size=image_size,
                cache=cache,
            ),
            workers,
            supervision or Supervision(),
            pin_memory=pin_memory,
            name_of=index.names.__getitem__,
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return self._supply.read(iter(self._batches))

    def forgiving(self) -> AbstractContextManager[None]:
        """Forget, after a block, which samples workers were lost at in it."""
        return self._supply.forgiving()

    def close(self) -> None:
        """End the workers, also in the middle of a pass."""
        self._supply.close()

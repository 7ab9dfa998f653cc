"""Batches for training and evaluation, read ahead by worker processes.

The bits of a batch depend on seed, epoch and sample ids, never on the number of
workers; nothing here draws from the process's own generators.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from ecotui.engine.data.dataset import Batch, Failure, PhotoDataset, collate
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.sampler import BatchesInOrder, EpochSampler, Key, Sampling
from ecotui.engine.data.transforms import Transform
from ecotui.engine.data.workers import prepare_worker, start_method
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
    ) -> None:
        self._sampler = EpochSampler(
            index.splits["train"], index.labels, batch_size=batch_size, seed=seed, sampling=sampling
        )
        dataset = PhotoDataset(index, transform, seed=seed, max_pixels=max_pixels)
        self._loader = _loader(dataset, self._sampler, workers, pin_memory)

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
        """
        self._sampler.begin(epoch, start_batch)
        return iter(self._loader)

    def close(self) -> None:
        """End the workers, also in the middle of an epoch."""
        _end_workers(self._loader)


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
    """

    def __init__(
        self,
        index: DataIndex,
        split: SplitName,
        transform: Transform,
        *,
        batch_size: int,
        workers: int,
        max_pixels: int,
        pin_memory: bool = False,
    ) -> None:
        batches = BatchesInOrder(index.splits[split], batch_size)
        self.num_images = len(index.splits[split])
        dataset = PhotoDataset(index, transform, seed=0, max_pixels=max_pixels)
        self._loader = _loader(dataset, batches, workers, pin_memory)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)

    def close(self) -> None:
        """End the workers, also in the middle of a pass."""
        _end_workers(self._loader)


def _loader(
    dataset: PhotoDataset,
    batches: Iterable[Sequence[Key]],
    workers: int,
    pin_memory: bool,
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]  # keys are pairs, torch types them as int
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=partial(prepare_worker, os.getpid()) if workers else None,
        multiprocessing_context=start_method() if workers else None,
        persistent_workers=workers > 0,
        # Its own: without one, making an iterator draws from the process's generator.
        generator=torch.Generator(),
    )


def _end_workers(loader: DataLoader[Any]) -> None:
    # DataLoader has no public way to end persistent workers: it waits for the garbage
    # collector, which a reference in an abandoned loop can put off for ever.
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None:
        iterator._shutdown_workers()
        loader._iterator = None

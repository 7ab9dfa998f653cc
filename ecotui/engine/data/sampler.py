"""Which sample comes when: a function of seed and epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.data.shuffle import shuffled
from ecotui.engine.seeds import derive_seed

Sampling = Literal["shuffled", "balanced"]
Key = tuple[int, int]
"""Epoch and sample id: all that a sample's transform may depend on."""


def epoch_order(
    sample_ids: NDArray[np.int64],
    labels: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    sampling: Sampling,
) -> NDArray[np.int64]:
    """Return the sample ids of an epoch in the order they are trained on.

    Args:
        sample_ids: Of the split, `[N]`.
        labels: Class of every sample of the data set, indexed by sample id.
        seed: Of the run.
        epoch: From 0 or 1; every number has an order of its own.
        sampling: `shuffled`: each sample once; `balanced`: each class equally often
            (to within one), its samples in turn.

    Returns:
        Array `[N]`.
    """
    drawn = sample_ids
    if sampling == "balanced":
        drawn = _balanced(sample_ids, labels[sample_ids], seed, epoch)
    return drawn[shuffled(len(drawn), derive_seed(seed, "order", epoch))]


def _balanced(
    sample_ids: NDArray[np.int64], labels: NDArray[np.int64], seed: int, epoch: int
) -> NDArray[np.int64]:
    present = np.unique(labels)
    # Where the classes do not divide the count, chance says which ones come once more.
    ranks = shuffled(len(present), derive_seed(seed, "balance", epoch))
    drawn: list[NDArray[np.int64]] = []
    for rank, label in zip(ranks, present, strict=True):
        count = (len(sample_ids) - int(rank) - 1) // len(present) + 1
        members = sample_ids[labels == label]
        order = shuffled(len(members), derive_seed(seed, "balance", epoch, int(label)))
        drawn.append(np.resize(members[order], count))
    return np.concatenate(drawn)


class EpochSampler:
    """Batches of keys of one epoch after another, for torch's DataLoader as `batch_sampler`.

    A last batch that is not full is dropped, as BatchNorm cannot train on a batch
    of one, unless it is the only one.

    Args:
        sample_ids: Of the split, `[N]`.
        labels: Class of every sample of the data set, indexed by sample id.
        batch_size: Samples a batch.
        seed: Of the run.
        sampling: See `epoch_order`.
    """

    def __init__(
        self,
        sample_ids: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        sampling: Sampling,
    ) -> None:
        self._sample_ids = sample_ids
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._sampling = sampling
        self._epoch = 0
        self._start_batch = 0

    @property
    def batches_per_epoch(self) -> int:
        """How many batches a whole epoch has; at least one where there are samples."""
        count = len(self._sample_ids)
        return count // self._batch_size or min(count, 1)

    def begin(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch that the next iteration goes through, and the batch it starts at."""
        self._epoch = epoch
        self._start_batch = start_batch

    def __len__(self) -> int:
        return max(0, self.batches_per_epoch - self._start_batch)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, start_batch = self._epoch, self._start_batch
        order = epoch_order(
            self._sample_ids,
            self._labels,
            seed=self._seed,
            epoch=epoch,
            sampling=self._sampling,
        )
        for batch in range(start_batch, self.batches_per_epoch):
            start = batch * self._batch_size
            ids = order[start : start + self._batch_size]
            yield [(epoch, sample_id) for sample_id in ids.tolist()]


class BatchesInOrder:
    """Batches of keys of epoch 0 in the order given; the last one may be smaller.

    Args:
        sample_ids: Of the split, `[N]`.
        batch_size: Samples a batch.
    """

    def __init__(self, sample_ids: NDArray[np.int64], batch_size: int) -> None:
        self._sample_ids = sample_ids
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._sample_ids) / self._batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for start in range(0, len(self._sample_ids), self._batch_size):
            ids = self._sample_ids[start : start + self._batch_size]
            yield [(0, sample_id) for sample_id in ids.tolist()]

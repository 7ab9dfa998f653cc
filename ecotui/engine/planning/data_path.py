"""How fast photos are read and transformed, by one process or by several."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ecotui.engine.assembly import Parts
from ecotui.engine.data.arrival import reading_seconds
from ecotui.engine.data.dataset import PhotoDataset
from ecotui.engine.data.loader import TrainLoader
from ecotui.engine.data.supervision import LoaderFaultError, Supervision
from ecotui.engine.planning.budget import Budget

PHOTO_SECONDS = 10.0
"""A photo that takes longer to come is passed over: preflight names it."""

MIN_BATCHES = 2
"""Timed, each worker having delivered its first before."""


def images_per_second_alone(parts: Parts, budget: Budget, *, most: int) -> float | None:
    """Read photos of the training split in this process.

    Photos are spread over the split, since its classes may differ in size.

    Args:
        parts: Of the run; nothing of it changes.
        budget: Fewer are read where it ends.
        most: Photos to read.

    Returns:
        Images a second, or None where none could be read.
    """
    ids = parts.index.splits["train"]
    chosen = ids[np.linspace(0, len(ids) - 1, min(most, len(ids))).astype(np.int64)]
    dataset = PhotoDataset(
        parts.index,
        parts.transforms.train,
        seed=parts.config.train.seed,
        max_pixels=parts.config.data.max_pixels,
        cache=parts.cache,
    )
    seconds, count = 0.0, -1  # the first pays for what is loaded when it is needed
    for sample_id in [int(chosen[0]), *chosen.tolist()]:
        budget.poll()
        came = reading_seconds(parts.index.path_of(sample_id), PHOTO_SECONDS, budget.poll)
        if came is None:
            continue
        started = time.monotonic()
        dataset[0, sample_id]
        count += 1
        if count:
            seconds += came + time.monotonic() - started
        if count and budget.left_seconds == 0.0:
            break
    return count / seconds if count > 0 and seconds > 0.0 else None


def images_per_second_with(
    parts: Parts, workers: int, budget: Budget, *, seconds: float
) -> float | None:
    """Read batches of an epoch with worker processes of their own.

    Args:
        parts: Of the run; its own loaders are left alone.
        workers: How many, from 1.
        budget: Polled while waiting.
        seconds: To be timed, about.

    Returns:
        Images a second once all workers are under way, or None where workers fail or the
        data set has too few batches to tell.
    """
    loader = trial_loader(parts, workers, budget.poll)
    warm_up = 2 * workers
    try:
        started, count, batches = 0.0, 0, 0
        for number, batch in enumerate(loader.epoch(0)):
            budget.poll()
            now = time.monotonic()
            if number < warm_up:
                started = now
                continue
            count += len(batch.sample_ids) + len(batch.failures)
            batches += 1
            if now - started >= seconds and batches >= MIN_BATCHES:
                break
        took = time.monotonic() - started
    except LoaderFaultError:
        return None
    finally:
        loader.close()
    return count / took if batches >= MIN_BATCHES and took > 0.0 else None


def trial_loader(parts: Parts, workers: int, poll: Callable[[], None]) -> TrainLoader:
    """Return a loader of the run's training batches that shares nothing with the run's own."""
    guards = parts.config.guards
    supervision = Supervision(guards.loader_patience_seconds, guards.first_batch_patience_seconds)
    supervision.attend = poll
    return TrainLoader(
        parts.index,
        parts.transforms.train,
        batch_size=parts.config.train.batch_size,
        seed=parts.config.train.seed,
        sampling=parts.config.data.sampling,
        workers=workers,
        max_pixels=parts.config.data.max_pixels,
        supervision=supervision,
        cache=parts.cache,
    )

"""Batches read ahead: page-locked where asked for, and slow is not stuck."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from ecotui.config import DataConfig
from ecotui.engine.data.dataset import Batch
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.loader import TrainLoader
from ecotui.engine.data.supervision import Rebuilt, Supervision


@pytest.fixture(scope="module")
def index(photo_folder: Path) -> DataIndex:
    return build_index(DataConfig(root=str(photo_folder), val_fraction=0.25), 0)


def slow(_: Image.Image) -> torch.Tensor:
    time.sleep(0.15)
    return torch.zeros(3, 1, 1)


def mismatched(image: Image.Image) -> torch.Tensor:
    return torch.zeros(3, 1, image.width)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_page_locked_where_that_is_asked_for(
    index: DataIndex, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[tuple[int, ...]] = []

    def pin(batch: Batch) -> Batch:
        pinned.append(batch.sample_ids)
        return batch

    monkeypatch.setattr(Batch, "pin_memory", pin)
    loader = TrainLoader(
        index,
        slow,
        batch_size=8,
        seed=1,
        sampling="shuffled",
        workers=workers,
        max_pixels=10**6,
        pin_memory=True,
    )
    seen = [batch.sample_ids for batch in loader.epoch(1)]
    loader.close()
    assert len(seen) == 2
    assert pinned == seen


def test_a_batch_longer_than_the_patience_is_not_stuck_while_its_worker_moves(
    index: DataIndex,
) -> None:
    rebuilt: list[Rebuilt] = []
    loader = TrainLoader(
        index,
        slow,
        batch_size=18,
        seed=1,
        sampling="shuffled",
        workers=1,
        max_pixels=10**6,
        supervision=Supervision(1.0, 1.0, tell=rebuilt.append),
    )
    (batch,) = loader.epoch(1)
    loader.close()
    assert len(batch.sample_ids) == 18
    assert rebuilt == []


def test_a_worker_that_cannot_make_a_batch_says_why(index: DataIndex) -> None:
    rebuilt: list[Rebuilt] = []
    loader = TrainLoader(
        index,
        mismatched,
        batch_size=4,
        seed=1,
        sampling="shuffled",
        workers=1,
        max_pixels=10**6,
        supervision=Supervision(tell=rebuilt.append),
    )
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        list(loader.epoch(1))
    loader.close()
    assert "RuntimeError: stack expects" in rebuilt[0].what

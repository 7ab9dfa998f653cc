from __future__ import annotations

import numpy as np
import pytest
import timm.data
import torch
from timm.data.loader import PrefetchLoader

from ecotui.engine.normalising import PLAIN, Normalisation

MEAN, STD = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
OURS = Normalisation(MEAN, STD)


def images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def as_timm_does(batch: torch.Tensor) -> torch.Tensor:
    loader = PrefetchLoader([(batch, torch.zeros(len(batch)))], MEAN, STD, device=batch.device)
    ((normalised, _),) = loader
    assert isinstance(normalised, torch.Tensor)
    return normalised


def test_the_bits_are_those_of_timms_loader() -> None:
    batch = images(3, 3, 21, 17)
    assert torch.equal(OURS(batch), as_timm_does(batch))
    assert torch.equal(OURS(batch[0]), as_timm_does(batch)[0])


def test_each_value_is_the_formulas_to_a_millionth() -> None:
    values = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    exact = (np.arange(256) / 255.0 - np.array(MEAN)[:, None]) / np.array(STD)[:, None]
    assert np.abs(OURS(values).numpy()[:, 0].astype(np.float64) - exact).max() < 1e-6
    assert torch.equal(PLAIN(values), values.float() / 255.0)


@pytest.mark.parametrize("shape", [(4, 3, 21, 17), (1, 3, 8, 8), (2, 3, 1, 1)])
def test_the_memory_format_is_the_one_asked_for_and_does_not_show_in_the_bits(
    shape: tuple[int, ...],
) -> None:
    batch = images(*shape)
    before = batch.clone()
    plain, beside = OURS(batch), OURS(batch, torch.channels_last)
    assert plain.is_contiguous()
    assert beside.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, beside)
    assert torch.equal(batch, before)


def test_what_is_normalised_already_is_left_alone() -> None:
    batch = torch.rand(2, 3, 4, 4)
    assert OURS(batch) is batch

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as F

from ecotui.engine.data.colours import ColourJitter, Erasing, _composed, _mapped
from ecotui.engine.randomness import borrowed_randomness


def picture(low: int = 0, high: int = 256) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(low, high, (3, 24, 20), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
@pytest.mark.parametrize("factors", [[1.2, 0.7, 0.8], [0.7, 1.3, 1.2], [1.0, 1.0, 1.0]])
def test_all_three_at_once_are_torchvisions_one_after_another(
    order: list[int], factors: list[float]
) -> None:
    """Where nothing is cut off at black or white, but for what torchvision rounds in between."""
    image = picture(90, 150)
    theirs = image.float() / 255
    functions = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
    for kind in order:
        theirs = functions[kind](theirs, factors[kind])
    weights = torch.tensor([0.299, 0.587, 0.114])
    mean = float((image.float().mean(dim=(1, 2)) * weights).sum())
    ours = _mapped(image.float(), *_composed(order, factors, mean))
    assert float((ours.float() - theirs * 255).abs().max()) <= 1.0


@pytest.mark.parametrize(("factor", "ends"), [(1.4, (0, 255)), (0.6, (0, 153)), (3.0, (0, 255))])
def test_what_leaves_the_range_is_cut_off_at_black_and_white(
    factor: float, ends: tuple[int, int]
) -> None:
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).expand(3, 4, 2)
    brighter = _mapped(black_and_white.float(), factor, 0.0, 0.0)
    assert brighter[0, 0].tolist() == list(ends)
    assert _mapped(black_and_white.float(), factor, 0.0, -1000.0).unique().tolist() == [0]
    assert _mapped(black_and_white.float(), factor, 0.0, 1000.0).unique().tolist() == [255]


def test_jitter_follows_the_generator_and_its_strength() -> None:
    image = picture()
    seen = []
    for seed in (1, 1, 2):
        with borrowed_randomness(seed):
            seen.append(ColourJitter(0.4)(image))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert seen[0].dtype == torch.uint8
    assert torch.equal(image, picture())
    with borrowed_randomness(1):
        assert torch.equal(ColourJitter(0.0)(image), image)


def test_jitter_does_not_depend_on_the_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(2)
    image = torch.randint(0, 256, (3, 331, 333), generator=generator, dtype=torch.uint8)
    before = torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            with borrowed_randomness(5):
                seen.append(ColourJitter(0.4)(image))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_a_rectangle_is_filled_with_the_mean_colour() -> None:
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    areas = []
    for seed in range(60):
        random.seed(seed)
        erased = Erasing(1.0, (1, 2, 3))(image)
        filled = (erased[0] == 1).numpy()
        rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
        assert filled.sum() == len(rows) * len(columns)
        assert [int(each.max()) for each in erased] == [1, 2, 3]
        areas.append(filled.mean())
    assert 0.01 < min(areas) < max(areas) < 0.36
    assert not image.any()


def test_erasing_follows_its_probability() -> None:
    image = picture()
    random.seed(3)
    changed = sum(not torch.equal(Erasing(0.3, (0, 0, 0))(image), image) for _ in range(400))
    assert 80 < changed < 165
    assert Erasing(0.0, (0, 0, 0))(image) is image

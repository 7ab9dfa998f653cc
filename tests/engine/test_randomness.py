from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ecotui.engine.randomness import borrowed_randomness


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_a_seed_decides_what_all_three_generators_give() -> None:
    drawn = []
    for seed in (2**63 - 1, 5, 2**63 - 1):
        with borrowed_randomness(seed):
            drawn.append(draw())
    assert drawn[0] == drawn[2]
    assert all(a != b for a, b in zip(drawn[0], drawn[1], strict=True))


def test_the_generators_go_on_where_they_were() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = (draw(), draw())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    first = draw()
    with borrowed_randomness(99):
        draw()
    assert (first, draw()) == expected


def test_the_generators_go_on_where_they_were_after_an_exception() -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(ZeroDivisionError), borrowed_randomness(99):
        assert draw()[0] / 0
    assert torch.equal(before, torch.random.get_rng_state())


def test_numpys_generator_is_left_alone_where_the_block_does_not_draw_from_it() -> None:
    np.random.seed(1)
    expected = [float(np.random.random()) for _ in range(2)]
    np.random.seed(1)
    with borrowed_randomness(99, with_numpy=False):
        drawn = float(np.random.random())
    assert [drawn, float(np.random.random())] == expected

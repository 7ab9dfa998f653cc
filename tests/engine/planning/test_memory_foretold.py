"""Memory that is foretold for a batch size is what a plain loop of that size then takes."""

from __future__ import annotations

import sys

import pytest

from benchmarks.plan import compare, holds

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the peak of a process is reset on Linux only"
)


def check(model: str, side: int, sizes: tuple[int, ...], target: int) -> None:
    found = compare(model, side, sizes, target)
    assert holds(found), found


def test_a_small_convolutional_network() -> None:
    check("mobilenetv3_small_100", 128, (4, 8, 16), 32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "side", "sizes", "target"),
    [
        ("resnet18", 96, (2, 4, 8), 16),
        ("vit_tiny_patch16_224", 224, (2, 4, 8), 16),
        ("efficientnet_b0", 128, (2, 4, 8), 16),
    ],
)
def test_networks_that_people_train(
    model: str, side: int, sizes: tuple[int, ...], target: int
) -> None:
    check(model, side, sizes, target)

"""Memory that is foretold for a batch size is what a plain loop of that size then takes."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks.plan import compare, holds

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the peak of a process is reset on Linux only"
)


def check(model: str, side: int, sizes: tuple[int, ...], target: int) -> dict[str, Any]:
    found = compare(model, side, sizes, target)
    assert holds(found), found
    return found


def with_slope(found: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return a comparison as it would be, had the line through the same points another slope."""
    from_the_middle = found["size"] - sum(found["measured_sizes"]) / len(found["measured_sizes"])
    shift = (factor - 1.0) * found["slope_mb"] * from_the_middle / found["growth_real_mb"]
    wrong = found["growth_predicted_error_fraction"] + shift
    return {**found, "growth_predicted_error_fraction": wrong, "error_fraction": 0.0}


def test_a_small_convolutional_network_and_limits_that_a_wrong_slope_breaks() -> None:
    found = check("mobilenetv3_small_100", 128, (4, 8, 16), 32)
    assert holds(with_slope(found, 1.0))
    assert not holds(with_slope(found, 2.0)), found


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

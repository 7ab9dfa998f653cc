"""What a batch must be like before the model sees it, at each limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from ecotui.engine.data.loader import Batch
from ecotui.engine.screening import faults_in

SIZE, CLASSES = 8, 3


def batch(labels: tuple[int, ...] = (0, 1, 2)) -> Batch:
    images_BCHW = torch.full((len(labels), 3, SIZE, SIZE), 0.5)
    return Batch(images_BCHW, torch.tensor(labels), tuple(range(len(labels))), ())


def found(shown: Batch) -> dict[int, str]:
    return faults_in(shown, image_size=SIZE, num_classes=CLASSES)


def test_a_sound_batch_has_no_fault() -> None:
    assert found(batch()) == {}


@pytest.mark.parametrize(("label", "said"), [(CLASSES, "its label is 3"), (-1, "its label is -1")])
def test_a_label_is_one_of_the_classes(label: int, said: str) -> None:
    reasons = found(batch((0, label, 2)))
    assert list(reasons) == [1]
    assert said in reasons[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images: images[..., :-1], "shape"),
        (lambda images: images[:, :, :-1], "shape"),
        (lambda images: images.double(), "float64"),
    ],
)
def test_an_image_has_the_models_form(
    change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    reasons = found(replace(batch(), images_BCHW=change(batch().images_BCHW)))
    assert list(reasons) == [0, 1, 2]
    assert all(said in reason for reason in reasons.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_the_one_image_with_a_number_that_cannot_be_used_is_named(value: float) -> None:
    shown = batch()
    shown.images_BCHW[2, 1, 0, 0] = value
    assert list(found(shown)) == [2]


def test_a_batch_without_any_image_has_no_fault() -> None:
    assert found(replace(batch(), images_BCHW=torch.empty(0), labels_B=torch.empty(0))) == {}

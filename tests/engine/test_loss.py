"""The loss of a batch does not depend on how it is split, nor mixing on what came before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui.config import AugmentConfig, TrainConfig
from ecotui.engine.loss import make_mixer, make_objective

LABELS = np.array([0] * 6 + [1] * 3 + [2], dtype=np.int64)


@given(
    micro=st.integers(1, 10),
    smoothing=st.sampled_from([0.0, 0.1]),
    weighting=st.sampled_from(["none", "balanced"]),
)
@settings(deadline=None, max_examples=30)
def test_micro_batches_give_the_mean_loss_of_the_batch(
    micro: int, smoothing: float, weighting: str
) -> None:
    config = TrainConfig.model_validate({"label_smoothing": smoothing, "class_weights": weighting})
    objective = make_objective(config, LABELS, 3, "cpu")
    generator = torch.Generator().manual_seed(1)
    logits_BK = torch.randn(10, 3, generator=generator)
    targets = torch.tensor(LABELS)
    whole = objective.normaliser(targets)
    parts = zip(logits_BK.split(micro), targets.split(micro), strict=True)
    split = sum(float(objective.summed(logits, target) / whole) for logits, target in parts)
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3]) if weighting == "balanced" else None
    expected = F.cross_entropy(logits_BK, targets, weight=weights, label_smoothing=smoothing)
    assert split == pytest.approx(float(expected), rel=1e-5)


def test_a_class_without_training_images_does_not_divide_by_zero() -> None:
    config = TrainConfig(class_weights="balanced")
    objective = make_objective(config, LABELS, 4, "cpu")
    assert torch.isfinite(objective.normaliser(torch.tensor([3])))


def test_mixing_is_off_unless_asked_for() -> None:
    assert make_mixer(AugmentConfig(), TrainConfig(), 3) is None


def test_mixing_depends_on_seed_and_step_alone() -> None:
    mixer = make_mixer(AugmentConfig(mixup=0.8, cutmix=1.0), TrainConfig(), 3)
    assert mixer is not None
    images_BCHW = torch.rand(4, 3, 8, 8)
    labels_B = torch.tensor([0, 1, 2, 0])

    def mixed(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return mixer(images_BCHW.clone(), labels_B, step)

    first = mixed(5)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    again, other = mixed(5), mixed(6)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    assert torch.allclose(first[1].sum(dim=1), torch.ones(4))


def test_an_odd_batch_is_left_unmixed_with_targets_of_the_same_form() -> None:
    mixer = make_mixer(AugmentConfig(mixup=0.8), TrainConfig(label_smoothing=0.0), 3)
    assert mixer is not None
    images_BCHW = torch.rand(3, 3, 8, 8)
    same_BCHW, targets_BK = mixer(images_BCHW.clone(), torch.tensor([0, 1, 2]), 0)
    assert torch.equal(same_BCHW, images_BCHW)
    assert torch.equal(targets_BK, torch.eye(3))

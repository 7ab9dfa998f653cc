"""The training loss, and the mixing of images that goes with it.

A batch may be split into micro-batches: each contributes a sum, and all are
divided by one normaliser of the whole batch, so that the split changes nothing
but the memory needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data import Mixup
from timm.data.mixup import mixup_target

from ecotui.config import AugmentConfig, TrainConfig
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed


class Objective:
    """Cross-entropy with label smoothing and class weights.

    Args:
        label_smoothing: Share of the target spread over all classes, 0 to 1.
        class_weights: Of each class [K], or None for equal ones.
    """

    def __init__(self, label_smoothing: float, class_weights: torch.Tensor | None) -> None:
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights

    def normaliser(self, targets: torch.Tensor) -> torch.Tensor:
        """Return what the summed loss of a whole batch is divided by.

        The weight of the labels where classes are weighted, as torch does for
        a mean; else the number of images. Mixed targets [B, K] count as images.
        """
        if self._class_weights is None or targets.dim() == 2:
            # Filled there: a copy from the host's memory would make the host wait.
            return torch.full((), float(targets.shape[0]), device=targets.device)
        return self._class_weights[targets].sum()

    def summed(self, logits_BK: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the summed loss, in fp32, of a micro-batch.

        Args:
            logits_BK: Scores [B, K].
            targets: Labels [B], or mixed targets [B, K] with the smoothing already in.
        """
        return F.cross_entropy(
            logits_BK.float(),
            targets,
            weight=self._class_weights,
            reduction="sum",
            label_smoothing=self._label_smoothing if targets.dim() == 1 else 0.0,
        )


class Mixer:
    """timm's mixup and cutmix, drawn for each step from the run's seed.

    Args:
        augment: Alphas and probability.
        label_smoothing: Put into the mixed targets.
        num_classes: K.
        seed: Of the run.
    """

    def __init__(
        self, augment: AugmentConfig, *, label_smoothing: float, num_classes: int, seed: int
    ) -> None:
        self._seed = seed
        self._num_classes = num_classes
        self._label_smoothing = label_smoothing
        self._mixup: Any = Mixup(
            mixup_alpha=augment.mixup,
            cutmix_alpha=augment.cutmix,
            prob=augment.mix_probability,
            label_smoothing=label_smoothing,
            num_classes=num_classes,
        )

    def __call__(
        self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mixed images [B, 3, S, S] and targets [B, K]; the images are changed in place.

        timm mixes pairs; a batch with an odd number of images (one could not be
        read) keeps its images as they are.
        """
        if images_BCHW.shape[0] % 2:
            targets_BK: torch.Tensor = mixup_target(
                labels_B, self._num_classes, lam=1.0, smoothing=self._label_smoothing
            )
            return images_BCHW, targets_BK
        with borrowed_randomness(derive_seed(self._seed, "mix", step)):
            mixed_BCHW, targets_BK = self._mixup(images_BCHW, labels_B)
        return mixed_BCHW, targets_BK


def make_objective(
    config: TrainConfig, labels: NDArray[np.int64], num_classes: int, device: str
) -> Objective:
    """Return the loss for a training split.

    Args:
        config: Smoothing and weighting.
        labels: Of the training split [N].
        num_classes: K.
        device: Where the weights are to lie.
    """
    weights: torch.Tensor | None = None
    if config.class_weights == "balanced":
        counts = np.maximum(np.bincount(labels, minlength=num_classes), 1)
        balanced = labels.size / (num_classes * counts)
        weights = torch.tensor(balanced, dtype=torch.float32, device=device)
    return Objective(config.label_smoothing, weights)


def make_mixer(augment: AugmentConfig, config: TrainConfig, num_classes: int) -> Mixer | None:
    """Return the mixer, or None where neither mixup nor cutmix is on."""
    if augment.mixup == 0.0 and augment.cutmix == 0.0:
        return None
    return Mixer(
        augment,
        label_smoothing=config.label_smoothing,
        num_classes=num_classes,
        seed=config.seed,
    )

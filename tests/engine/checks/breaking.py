"""What can be wrong with transforms, data, models and loaders, done on purpose."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ecotui.engine import assembly, compute, model, optim
from ecotui.engine.checks import loop
from ecotui.engine.data import dataset, index, loader, sampler, supply
from ecotui.engine.data.transforms import Transforms, build_transforms

Breaking = Callable[[pytest.MonkeyPatch], None]


# Transforms --------------------------------------------------------------------------------------


def transforms(change: Callable[[torch.Tensor], torch.Tensor], *, only: str = "") -> Breaking:
    """Change what one or both transforms make."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        def made(*arguments: Any) -> Transforms:
            sound = build_transforms(*arguments)
            train = lambda photo: change(sound.normalisation(sound.train(photo)))  # noqa: E731
            score = lambda photo: change(sound.normalisation(sound.evaluate(photo)))  # noqa: E731
            return replace(
                sound,
                train=sound.train if only == "evaluate" else train,
                evaluate=sound.evaluate if only == "train" else score,
            )

        patch.setattr(assembly, "build_transforms", made)

    return apply


def with_another_normalisation(patch: pytest.MonkeyPatch) -> None:
    def made(spec: Any, augment: Any) -> Transforms:
        return build_transforms(replace(spec, mean=(0.47, 0.5, 0.5), std=(0.53, 0.5, 0.5)), augment)

    patch.setattr(assembly, "build_transforms", made)


def noisy(image_CHW: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "big"))
    return image_CHW * (1 - 0.01 * torch.rand(image_CHW.shape, generator=generator))


def drawing(image_CHW: torch.Tensor) -> torch.Tensor:
    return image_CHW * (1 - 0.01 * torch.rand(image_CHW.shape))


def with_borrowed_generators_kept(patch: pytest.MonkeyPatch) -> None:
    """Let the data set draw from the generators of the training."""
    patch.setattr(dataset, "borrowed_randomness", lambda _, **__: nullcontext())


def not_finite(image_CHW: torch.Tensor) -> torch.Tensor:
    return image_CHW.masked_fill(image_CHW == image_CHW.max(), float("nan"))


# Data and loaders --------------------------------------------------------------------------------


def labels(change: Callable[[Any], Any]) -> Breaking:
    """Change the labels of the index, `[N]`, given the whole index."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = index.build_index

        def build(*arguments: Any, **settings: Any) -> Any:
            whole = real(*arguments, **settings)
            return replace(whole, labels=change(whole))

        patch.setattr(index, "build_index", build)

    return apply


def shifted_in_validation(whole: Any) -> Any:
    changed = whole.labels.copy()
    changed[whole.splits["val"]] = (changed[whole.splits["val"]] + 1) % 3
    return changed


def with_a_shuffled_validation(patch: pytest.MonkeyPatch) -> None:
    real = sampler.BatchesInOrder

    def shuffled(sample_ids: Any, batch_size: int) -> Any:
        return real(np.random.Generator(np.random.PCG64(1)).permutation(sample_ids), batch_size)

    patch.setattr(loader, "BatchesInOrder", shuffled)


def batches(change: Callable[[Any], Any]) -> Breaking:
    """Change what a loader puts together."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = dataset.collate
        patch.setattr(supply, "collate", lambda items: change(real(items)))

    return apply


def emptied(batch: Any) -> Any:
    return dataset.collate([dataset.Failure(each, "the disk is gone") for each in batch.sample_ids])


# Models ------------------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """A sound network with something else about it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class WithAnIdleWeight(Wrapped):
    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.idle = nn.Parameter(torch.ones(3))

    def forward(self, images: torch.Tensor) -> Any:
        return self.network(images)


class WithAFrozenWeight(WithAnIdleWeight):
    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.idle.requires_grad_(False)


class WithADetachedBody(Wrapped):
    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.head = nn.Linear(3, 3)

    def forward(self, images: torch.Tensor) -> Any:
        return self.head(self.network(images).detach())


class FrozenLater(Wrapped):
    """Freezes everything at the first forward pass, long after the optimizer was made."""

    def forward(self, images: torch.Tensor) -> Any:
        self.network.requires_grad_(False)
        return self.network(images)


class Overflowing(Wrapped):
    """Holds numbers that fp32 can, and fp16 cannot."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return (scores * 1e6).to(scores.dtype) / 1e6


class OverflowingBackwards(Wrapped):
    """Sound forward; in fp16 only the gradients overflow, at whatever scale."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return scores + (scores.float() * 1e8 - (scores.float() * 1e8).detach())


class LoudBackwards(Wrapped):
    """In fp16 its gradients are finite at a small scale only."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return scores + (scores.float() * 50 - (scores.float() * 50).detach())


class Dropping(Wrapped):
    """Its dropout never ends."""

    def forward(self, images: torch.Tensor) -> Any:
        return F.dropout(self.network(images), 0.5, training=True)


class Trembling(Wrapped):
    """Its scores differ from time to time, by next to nothing."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return scores * (1 + 1e-5 * torch.rand_like(scores))


class Comparing(Wrapped):
    """Centres scores over the batch, in evaluation as well."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return scores - 0.5 * scores.mean(dim=0)


class NormalisingVectors(Wrapped):
    """BatchNorm over vectors cannot take a batch of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, images: torch.Tensor) -> Any:
        return self.norm(self.network(images))


class Greedy(Wrapped):
    """Has room for two images."""

    def forward(self, images: torch.Tensor) -> Any:
        if self.training and len(images) > 2:
            raise RuntimeError("out of memory: tried to allocate 2 GB")
        return self.network(images)


class Crashing(Wrapped):
    """Fails in training only."""

    def forward(self, images: torch.Tensor) -> Any:
        if self.training:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return self.network(images)


class OfTooManyClasses(Wrapped):
    def forward(self, images: torch.Tensor) -> Any:
        return F.pad(self.network(images), (0, 1))


class TooSure(Wrapped):
    def forward(self, images: torch.Tensor) -> Any:
        return self.network(images) * 1000


class Knowing(Wrapped):
    """Gives the right answer from the start, told by nobody."""

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.network(images)
        return scores + F.one_hot(torch.zeros(len(images), dtype=torch.int64), 3) * 20.0


def network(wrap: Callable[[nn.Module], nn.Module]) -> Breaking:
    """Put the model into another one."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        def built(*arguments: Any, **settings: Any) -> Any:
            sound = model.build_model(*arguments, **settings)
            return replace(sound, network=wrap(sound.network))

        patch.setattr(assembly, "build_model", built)

    return apply


def with_nan_in_a_weight(sound: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(sound.parameters()).view(-1)[0] = float("nan")
    return sound


def in_fp16(then: Breaking) -> Breaking:
    """Choose fp16, which the CPU is not offered otherwise."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = compute.choose_compute
        patch.setattr(assembly, "choose_compute", lambda *a: replace(real(*a), precision="fp16"))
        then(patch)

    return apply


def with_an_optimizer_of_nothing(patch: pytest.MonkeyPatch) -> None:
    real = optim.make_optimizer
    patch.setattr(loop, "make_optimizer", lambda _, *a, **k: real(nn.Linear(1, 1), *a, **k))


def with_an_optimizer_of_the_head(patch: pytest.MonkeyPatch) -> None:
    real = optim.make_optimizer
    patch.setattr(loop, "make_optimizer", lambda n, *a, **k: real(n.get_classifier(), *a, **k))

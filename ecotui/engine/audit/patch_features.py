"""Features of photos where there are no pretrained weights: small patches, and colours.

Patches are compared with the most common kinds of patch in the set itself, and how much of each
kind there is in each quarter of the photo is counted. Source: Coates, Ng and Lee, "An Analysis of
Single-Layer Networks in Unsupervised Feature Learning".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

SIDE = 48
"""Pixels at which patches are taken."""

PATCH, STRIDE, KINDS = 6, 2, 400
NUM_EXAMPLES, ROUNDS = 20_000, 10
EXAMPLES_A_PHOTO, EXAMPLES_A_KIND = 40, 20
"""Of small sets fewer patches are taken, and fewer kinds are told apart."""

MIN_AGREEMENT = 0.5
"""A patch counts as of a kind by how much it agrees with it beyond this."""

_AT_ONCE = 32
_COLOUR_BINS, _COLOUR_GRID = 16, 6


def patch_features(images_BCHW: torch.Tensor, poll: Callable[[], None]) -> torch.Tensor:
    """Return features of photos, float32 `[B, D]`, each with about the same say.

    Args:
        images_BCHW: uint8, squares of one size.
        poll: Called between batches; what it raises ends the work.
    """
    generator = torch.Generator().manual_seed(0)
    whitening, kinds = _learned_kinds(images_BCHW, generator, poll)
    structure, colours = [], []
    for start in range(0, len(images_BCHW), _AT_ONCE):
        poll()
        batch = images_BCHW[start : start + _AT_ONCE].float() / 255.0
        structure.append(_amounts(batch, whitening, kinds))
        colours.append(_colours(batch))
    return torch.cat([_evened(torch.cat(structure)), _evened(torch.cat(colours))], dim=1)


def _evened(features_BD: torch.Tensor) -> torch.Tensor:
    """Return features of zero mean and equal spread, together as large as any other kind."""
    centred = (features_BD - features_BD.mean(0)) / (features_BD.std(0) + 1e-3)
    evened: torch.Tensor = centred / features_BD.shape[1] ** 0.5
    return evened


def _normalised(patches_ND: torch.Tensor) -> torch.Tensor:
    centred = patches_ND - patches_ND.mean(-1, keepdim=True)
    normalised: torch.Tensor = centred / (patches_ND.var(-1, keepdim=True) + 0.01).sqrt()
    return normalised


def _learned_kinds(
    images_BCHW: torch.Tensor, generator: torch.Generator, poll: Callable[[], None]
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return how patches are whitened, and the kinds of patch there are, by k-means."""
    patches = _normalised(_examples(images_BCHW, generator))
    middle = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    matrix = vectors @ torch.diag((values + 0.1) ** -0.5) @ vectors.T
    whitened = (patches - middle) @ matrix
    num_kinds = min(KINDS, max(8, len(patches) // EXAMPLES_A_KIND))
    kinds = torch.randn(num_kinds, patches.shape[1], generator=generator)
    kinds = F.normalize(kinds, dim=1)
    for _ in range(ROUNDS):
        poll()
        agreement = whitened @ kinds.T
        best, place = agreement.max(1)
        summed = torch.zeros_like(kinds).index_add_(0, place, whitened * best[:, None])
        # A kind that nothing is of stays what it was.
        is_empty = summed.norm(dim=1, keepdim=True) < 1e-6
        kinds = F.normalize(torch.where(is_empty, kinds, summed), dim=1)
    return (middle, matrix), kinds


def _examples(images_BCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count = min(NUM_EXAMPLES, EXAMPLES_A_PHOTO * len(images_BCHW))
    chosen = torch.randint(len(images_BCHW), (count,), generator=generator)
    places = torch.randint(SIDE - PATCH + 1, (count, 2), generator=generator)
    order = torch.argsort(chosen)
    patches = []
    for start in range(0, count, 512):
        some = order[start : start + 512]
        ids, inverse = chosen[some].unique(return_inverse=True)
        small = _small(images_BCHW[ids].float() / 255.0)
        windows = small.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        rows, columns = places[some].unbind(1)
        patches.append(windows[inverse, :, rows, columns].flatten(1))
    return torch.cat(patches)


def _small(images_BCHW: torch.Tensor) -> torch.Tensor:
    return F.interpolate(images_BCHW, (SIDE, SIDE), mode="area")


def _amounts(
    images_BCHW: torch.Tensor, whitening: tuple[torch.Tensor, torch.Tensor], kinds: torch.Tensor
) -> torch.Tensor:
    patches = F.unfold(_small(images_BCHW), PATCH, stride=STRIDE).transpose(1, 2)
    middle, matrix = whitening
    amounts = F.relu((_normalised(patches) - middle) @ matrix @ kinds.T - MIN_AGREEMENT)
    side = (SIDE - PATCH) // STRIDE + 1
    grid = amounts.transpose(1, 2).reshape(len(images_BCHW), len(kinds), side, side)
    return F.adaptive_avg_pool2d(grid, 2).flatten(1)


def _colours(images_BCHW: torch.Tensor) -> torch.Tensor:
    coarse = F.adaptive_avg_pool2d(images_BCHW, _COLOUR_GRID).flatten(1)
    saturation = images_BCHW.amax(1) - images_BCHW.amin(1)
    planes = [*images_BCHW.unbind(1), saturation]
    shares = [
        torch.stack([torch.histc(each, _COLOUR_BINS, 0.0, 1.0) for each in plane])
        / plane[0].numel()
        for plane in planes
    ]
    return torch.cat([coarse, *(share.sqrt() for share in shares)], dim=1)

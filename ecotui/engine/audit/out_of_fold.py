"""What each photo is taken for by classifiers that have not seen it, and by its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from ecotui.engine.data.shuffle import shuffled

FOLDS = 5
WEIGHT_DECAY = 1e-3
"""Of the classifier, on features that together have unit variance times their number."""

STEPS = 60
NEIGHBOURS = 8
NEIGHBOUR_SHARPNESS = 12.0
"""How much faster than linear the say of a neighbour falls with its distance."""

_AT_ONCE = 512


def out_of_fold(
    features_ND: torch.Tensor, labels_N: torch.Tensor, num_classes: int, poll: Callable[[], None]
) -> torch.Tensor:
    """Return the probability of each class for each photo, `[N, K]`.

    A softmax regression is trained on all folds but one, and asked about that one; the
    neighbours of each photo, itself left aside, have as much of a say.

    Args:
        features_ND: Of each photo.
        labels_N: As the data have them, 0 to K - 1.
        num_classes: K.
        poll: Called between steps; what it raises ends the work.
    """
    judged = torch.zeros(len(features_ND), num_classes)
    order = torch.from_numpy(shuffled(len(features_ND), 0).astype(np.int64))
    fold_of = torch.empty(len(features_ND), dtype=torch.int64)
    fold_of[order] = torch.arange(len(features_ND)) % FOLDS
    scale = features_ND.norm(dim=1).mean().clamp_min(1e-6)
    scaled_ND = features_ND / scale * features_ND.shape[1] ** 0.5
    for fold in range(FOLDS):
        is_asked = fold_of == fold
        weight_DK, bias_K = _trained(scaled_ND[~is_asked], labels_N[~is_asked], num_classes, poll)
        judged[is_asked] = F.softmax(scaled_ND[is_asked] @ weight_DK + bias_K, dim=1)
    return (judged + _by_neighbours(features_ND, labels_N, num_classes, poll)) / 2


def _trained(
    features_ND: torch.Tensor, labels_N: torch.Tensor, num_classes: int, poll: Callable[[], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    weight_DK = torch.zeros(features_ND.shape[1], num_classes, requires_grad=True)
    bias_K = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight_DK, bias_K], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        poll()
        optimizer.zero_grad()
        loss = F.cross_entropy(features_ND @ weight_DK + bias_K, labels_N)
        loss = loss + WEIGHT_DECAY * weight_DK.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight_DK.detach(), bias_K.detach()


def _by_neighbours(
    features_ND: torch.Tensor, labels_N: torch.Tensor, num_classes: int, poll: Callable[[], None]
) -> torch.Tensor:
    similar, places = nearest_neighbours(features_ND, poll)
    say = torch.exp(NEIGHBOUR_SHARPNESS * (similar - similar[:, :1]))
    shares = torch.zeros(len(features_ND), num_classes)
    shares.scatter_add_(1, labels_N[places], say)
    return shares / shares.sum(1, keepdim=True)


def nearest_neighbours(
    features_ND: torch.Tensor, poll: Callable[[], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosine similarity and the place of each photo's nearest others, `[N, 8]`."""
    unit_ND = F.normalize(features_ND, dim=1)
    count = min(NEIGHBOURS, len(unit_ND) - 1)
    similar, places = [], []
    for start in range(0, len(unit_ND), _AT_ONCE):
        poll()
        scores = unit_ND[start : start + _AT_ONCE] @ unit_ND.T
        own = torch.arange(start, start + len(scores))
        scores[torch.arange(len(scores)), own] = -2.0
        best = scores.topk(count, dim=1)
        similar.append(best.values)
        places.append(best.indices)
    return torch.cat(similar), torch.cat(places)

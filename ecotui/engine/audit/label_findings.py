"""Findings about labels: photos that a model which has not seen them takes for another class.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels": photos are ranked by the probability of the given label less that of the likeliest
other one, and counted where that other one is more likely than is usual for photos of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ecotui.config import RunConfig
from ecotui.engine.audit.embeddings import (
    Backbone,
    backbone_of_run,
    chosen_backbone,
    plain_pictures,
)
from ecotui.engine.audit.findings import NOBODY, Entry, Finding
from ecotui.engine.audit.out_of_fold import FOLDS, nearest_neighbours, out_of_fold
from ecotui.engine.audit.patch_features import patch_features
from ecotui.engine.audit.records import can_be_seen
from ecotui.engine.audit.scan import Scan
from ecotui.engine.data.index import DataIndex
from ecotui.text import counted, percent, visible

LISTED_FRACTION = 0.05
"""Share of the photos that are listed, the most doubtful first."""

MAX_PHOTOS = 100_000
"""Of more, as many spread over the data set are looked at: neighbours cost the square."""

IQR_FACTOR = 3.0
"""Photos further from their neighbours than so many times the middle half is wide are outliers.

Source: Tukey, "Exploratory Data Analysis" (far out values).
"""


class LabelSearch:
    """Looks for doubtful labels among the photos that can be read.

    Args:
        config: Of the run that is planned; its own weights are used where it has any.
        run_path: Of a run whose best model is used instead; None for none.
    """

    def __init__(self, config: RunConfig, run_path: str | None) -> None:
        self._config, self._run_path = config, run_path

    def __call__(self, index: DataIndex, scan: Scan, poll: Callable[[], None]) -> list[Finding]:
        """Return doubtful labels and outliers.

        Args:
            index: The data set.
            scan: What is known of its photos.
            poll: Called between steps; what it raises ends the work.

        Raises:
            UsageError: The model that is to be used cannot be.
        """
        ids = np.flatnonzero(can_be_seen(scan.rows))
        if len(ids) > MAX_PHOTOS:
            ids = ids[np.linspace(0, len(ids) - 1, MAX_PHOTOS).astype(np.int64)]
        if len(ids) < 2 * FOLDS:
            return []
        paths = [index.path_of(each) for each in ids.tolist()]
        features, by = self._features(index, paths, poll)
        labels = torch.from_numpy(index.labels[ids])
        judged = out_of_fold(features, labels, index.num_classes, poll)
        similar, places = nearest_neighbours(features, poll)
        return [
            *_doubtful(index, ids, judged, labels, _Neighbours(features), by),
            *_outliers(ids, similar.mean(1).numpy(), places[:, 0].numpy()),
        ]

    def _features(
        self, index: DataIndex, paths: list[Path], poll: Callable[[], None]
    ) -> tuple[torch.Tensor, str]:
        max_pixels = self._config.data.max_pixels
        backbone: Backbone | None
        if self._run_path is not None:
            backbone = backbone_of_run(Path(self._run_path))
        else:
            backbone = chosen_backbone(self._config, index.num_classes)
        if backbone is not None:
            return backbone.features(paths, max_pixels, poll), backbone.name
        pictures = plain_pictures(paths, max_pixels, poll)
        return patch_features(pictures, poll), "a short training"


class _Neighbours:
    """Finds the photo of a class that is most like another photo."""

    def __init__(self, features_ND: torch.Tensor) -> None:
        self._unit_ND = torch.nn.functional.normalize(features_ND, dim=1)

    def of(self, place: int, candidates: torch.Tensor) -> int:
        """Return the candidate most like the photo at a place; -1 for none."""
        others = candidates[candidates != place]
        if not len(others):
            return NOBODY
        scores = self._unit_ND[others] @ self._unit_ND[place]
        return int(others[scores.argmax()])


def _doubtful(
    index: DataIndex,
    ids: np.ndarray[tuple[int], np.dtype[np.int64]],
    judged_NK: torch.Tensor,
    labels_N: torch.Tensor,
    neighbours: _Neighbours,
    by: str,
) -> list[Finding]:
    given = judged_NK.gather(1, labels_N[:, None])[:, 0]
    others = judged_NK.scatter(1, labels_N[:, None], -1.0)
    likeliest, taken_for = others.max(1)
    usual = torch.stack(
        [
            given[labels_N == label].mean()
            if bool((labels_N == label).any())
            else torch.tensor(1.0)
            for label in range(index.num_classes)
        ]
    )
    is_doubted = (likeliest >= usual[taken_for]) & (likeliest > given)
    order = torch.argsort(given - likeliest, stable=True)
    listed = order[: max(1, round(LISTED_FRACTION * len(ids)))].tolist()
    entries = []
    for place in listed:
        members = torch.nonzero(labels_N == taken_for[place])[:, 0]
        other = neighbours.of(place, members)
        name = visible(index.class_names[int(taken_for[place])], limit=60)
        detail = f"taken for {name} ({percent(float(likeliest[place]), 0)})"
        other_id = int(ids[other]) if other != NOBODY else NOBODY
        entries.append(Entry(int(ids[place]), detail, other_id, bool(is_doubted[place])))
    accuracy = float((judged_NK.argmax(1) == labels_N).float().mean())
    num_doubted = int(is_doubted.sum())
    what = (
        f"{counted(num_doubted, 'photo')} whose label is doubtful, by {by} that gets "
        f"{percent(accuracy, 0)} right; the most doubtful {len(entries):,} are listed"
    )
    verdict = "warn" if num_doubted else "pass"
    extra: dict[str, object] = {"out_of_fold_accuracy": round(accuracy, 4), "by": by}
    return [Finding("label_errors", entries, what, num_doubted, verdict, extra)]  # type: ignore[arg-type]


def _outliers(
    ids: np.ndarray[tuple[int], np.dtype[np.int64]],
    similarity: np.ndarray[tuple[int], np.dtype[np.float32]],
    nearest: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> list[Finding]:
    low, high = np.percentile(similarity, [25, 75])
    far = np.flatnonzero(similarity < low - IQR_FACTOR * (high - low))
    if not len(far):
        return []
    far = far[np.argsort(similarity[far], kind="stable")]
    entries = [
        Entry(
            int(ids[place]),
            f"similarity to its neighbours {similarity[place]:.2f}, usually {(low + high) / 2:.2f}",
            int(ids[nearest[place]]),
        )
        for place in far.tolist()
    ]
    what = f"{counted(len(entries), 'photo')} unlike all others"
    return [Finding("outliers", entries, what, len(entries))]

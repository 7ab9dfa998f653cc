"""Settings that suit a data set, from what the engine found in it."""

from __future__ import annotations

from typing import Any

from ecotui.config import RunConfig
from ecotui.config_faults import Table
from ecotui.events import DatasetDescribed

IMBALANCE_LIMIT = 3.0
"""From this ratio of the largest to the smallest class on, the loss weighs classes evenly."""
DEFAULT_MODEL = "resnet18"


def suggest(described: DatasetDescribed, *, root: str, model: str) -> RunConfig:
    """Return a sensible configuration for a data set: what its size and balance ask for."""
    return RunConfig.model_validate(suggested(described, root=root, model=model))


def suggested(described: DatasetDescribed, *, root: str, model: str = DEFAULT_MODEL) -> Table:
    """Return the settings of `suggest` that are not left at their defaults."""
    batch_size = 8 if described.num_train < 200 else 16 if described.num_train < 1_000 else 32
    train: dict[str, Any] = {"batch_size": batch_size, "early_stopping_epochs": 5}
    if described.largest_class > IMBALANCE_LIMIT * max(1, described.smallest_class):
        train |= {"class_weights": "balanced", "metric": "macro_f1"}
    return {"data": {"root": root}, "model": {"name": model, "pretrained": True}, "train": train}

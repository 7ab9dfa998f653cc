"""A stratified split: a function of labels, names, seed and fractions alone."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.data.shuffle import shuffled
from ecotui.engine.seeds import derive_seed
from ecotui.events import SplitName


def stratified_split(
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> NDArray[np.str_]:
    """Return the split (`train`, `val` or `test`) of each sample.

    Each class is split by itself, with randomness that depends on its name: photos
    added to one class leave the split of the others alone.

    Args:
        labels: Class of each sample in the order of sorted names, `[N]`. Every class
            has at least two samples.
        class_names: Name of each class.
        seed: Of the run.
        val_fraction: Share for validation, above 0 and below 1; at least one sample a class.
        test_fraction: Share for testing, 0 to 1; the sum of both is below 1.

    Returns:
        Array `[N]` of split names. Each class has at least one sample in train and in val.
    """
    assigned = np.full(len(labels), "train", dtype="U5")
    for label, name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        order = shuffled(len(members), derive_seed(seed, f"split:{os.fsencode(name).hex()}"))
        num_val, num_test = _shares(len(members), val_fraction, test_fraction)
        assigned[members[order[:num_val]]] = "val"
        assigned[members[order[num_val : num_val + num_test]]] = "test"
    return assigned


def ids_of(assigned: NDArray[np.str_], split: SplitName) -> NDArray[np.int64]:
    """Return the sample ids of a split, ascending."""
    return np.flatnonzero(assigned == split).astype(np.int64)


def _shares(count: int, val_fraction: float, test_fraction: float) -> tuple[int, int]:
    num_val = min(max(1, int(count * val_fraction + 0.5)), count - 1)
    num_test = min(int(count * test_fraction + 0.5), count - 1 - num_val)
    return num_val, num_test

"""The one source of shuffled orders: a permutation as a function of a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Return a random permutation of 0 to count - 1.

    Made by sorting the raw words of Philox, whose stream NumPy promises to keep;
    `Generator.permutation` may change with a release, and a split must not.

    Args:
        count: Length of the result.
        seed: 0 or above, from `ecotui.engine.seeds.derive_seed`.
    """
    words = np.random.Philox(seed).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)

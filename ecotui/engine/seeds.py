"""Randomness as a function of what it is for, never of what happened before.

Sample order, augmentation and mixing are drawn from seeds derived here, so they
do not depend on the number of workers, and a run can be resumed at any step.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, purpose: str, *counters: int) -> int:
    """Return a seed in 0 to 2^63 - 1 for one purpose and place.

    A keyed hash rather than a sum: seed + epoch + id would make neighbours collide.

    Args:
        seed: Of the run.
        purpose: What the randomness is for, such as `order` or `augment`.
        counters: Where: epoch, sample id, step.
    """
    key = ":".join(["ecotui", str(seed), purpose, *map(str, counters)])
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextmanager
def borrowed_randomness(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's CPU generators for a block, then put them back.

    The putting back matters where the block runs in the training process: without
    it, augmentation would reset the stream that dropout draws from.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.random.set_rng_state(torch_state)

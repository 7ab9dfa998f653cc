"""The three global generators of the process, lent to a block and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_is_disowned = False


def disown_generators() -> None:
    """Have nobody but borrowers draw from the generators of this process: a loader's worker."""
    global _is_disowned  # noqa: PLW0603 - the generators are global as well
    _is_disowned = True


@contextmanager
def borrowed_randomness(seed: int, *, with_numpy: bool = True) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's CPU generators for a block, then put them back.

    In a process that has disowned them, nothing is put back: that takes as long as a tenth of
    reading a photo.

    The putting back matters where the block runs in the training process: without
    it, augmentation would reset the stream that dropout draws from.

    Args:
        seed: 0 to 2^63 - 1, from `ecotui.engine.seeds.derive_seed`.
        with_numpy: Whether the block may draw from NumPy's: keeping its state and putting it back
            takes three times as long as the two others.
    """
    if _is_disowned:
        _seed(seed, with_numpy=with_numpy)
        yield
        return
    python_state = random.getstate()
    numpy_state = np.random.get_state() if with_numpy else None
    torch_state = torch.random.get_rng_state()
    _seed(seed, with_numpy=with_numpy)
    try:
        yield
    finally:
        random.setstate(python_state)
        if numpy_state is not None:
            np.random.set_state(numpy_state)
        torch.random.set_rng_state(torch_state)


def _seed(seed: int, *, with_numpy: bool) -> None:
    random.seed(seed)
    if with_numpy:
        np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)

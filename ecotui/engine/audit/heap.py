"""Memory that was freed is kept for what comes next, where the C library would hand it back."""

from __future__ import annotations

import numpy as np

KEPT_BYTES = 16_777_216


def keep_freed_memory() -> None:
    """Have arrays of up to 16 MiB made from memory that this process holds already.

    By itself glibc maps an array of over 128 KiB anew and gives it back when it is freed, so that
    each of its pages is zeroed by the kernel again: half of the time of simple arithmetic. Freeing
    one such array raises that limit to its size, and the limit above which free memory is given
    back to twice that. Elsewhere this does nothing.

    Source: mallopt(3), M_MMAP_THRESHOLD, on its dynamic adjustment.
    """
    held = np.empty(KEPT_BYTES, dtype=np.uint8)
    del held

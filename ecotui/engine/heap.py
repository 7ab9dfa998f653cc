"""What the C library does with memory that was freed: keeps it, or gives it back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os

LARGEST_BYTES = 2**31 - 1
"""That mallopt(3) takes: an int."""

SMALLER_BYTES = 33_554_432
"""The highest that earlier releases of glibc take for M_MMAP_THRESHOLD."""

ARRAYS_BYTES = 16_777_216
"""Of pictures in memory that are worked on one after the other."""

SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables by which a person chooses for themselves, besides the tunables of glibc."""

TUNABLES = "GLIBC_TUNABLES"
_OF_MALLOC = "glibc.malloc."
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory(largest_bytes: int = LARGEST_BYTES) -> bool:
    """Have what comes next made from memory that this process has freed before.

    By itself glibc maps every large block anew and gives it back when it is freed, so that the
    kernel zeroes each of its pages again, thousands in a training step on the CPU. What a process
    holds then stays at its peak until `release_freed`. A person's own settings stay. Other C
    libraries have no such settings.

    Args:
        largest_bytes: Blocks up to this size are kept, and free memory beside them up to twice
            that.

    Returns:
        Whether freed memory is kept now.

    Source: mallopt(3).
    """
    if any(name in os.environ for name in SETTINGS) or _OF_MALLOC in os.environ.get(TUNABLES, ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    is_kept = mallopt(_MMAP_THRESHOLD, largest_bytes) or mallopt(_MMAP_THRESHOLD, SMALLER_BYTES)
    if not is_kept:
        return False
    mallopt(_TRIM_THRESHOLD, min(2 * largest_bytes, LARGEST_BYTES))
    return True


def release_freed() -> None:
    """Have the C library give freed memory back to the system, where it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

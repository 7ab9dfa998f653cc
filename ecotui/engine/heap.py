"""What the C library does with memory that was freed: keeps it, or gives it back to the system.

glibc by itself takes blocks over 32 MiB from the kernel and gives them back when they are freed,
and likewise what is free at the end of its heap beyond twice the largest block so far. Each of
their pages is zeroed by the kernel anew, thousands in a training step on the CPU.

Source: mallopt(3), malloc_trim(3). Other C libraries have no such settings: nothing happens there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re

LARGEST_BYTES = 2**31 - 1
"""That mallopt(3) takes: an int."""

USUAL_BYTES = 33_554_432
"""Up to which glibc keeps blocks by itself at most, and the highest that earlier releases take."""

ARRAYS_BYTES = 16_777_216
"""Of pictures in memory that are worked on one after the other."""

SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_")
"""Variables by which a person chooses for themselves, besides the tunables of glibc."""

TUNABLES = "GLIBC_TUNABLES"
_CHOSEN = re.compile(r"glibc\.malloc\.(mmap_threshold|trim_threshold|mmap_max)=")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = -1


class _Kept:
    """What this process keeps: blocks of up to so many bytes; 0 where nothing was asked."""

    largest_bytes = 0


def keep_freed_memory(largest_bytes: int = LARGEST_BYTES) -> bool:
    """Have what comes next made from memory that this process has freed before.

    What the process holds then stays at its peak until `release_freed`. Where more is kept already,
    that stays; so do a person's own settings.

    Args:
        largest_bytes: Blocks up to this size are kept, and free memory beside them up to twice
            that; by default all.

    Returns:
        Whether freed memory is kept now.
    """
    if largest_bytes <= _Kept.largest_bytes:
        return True
    return _keep(largest_bytes)


def keep_as_usual() -> None:
    """Have a process that was forked from one that keeps more keep what glibc does by itself."""
    if _Kept.largest_bytes > USUAL_BYTES:
        _keep(USUAL_BYTES)


def release_freed() -> None:
    """Have the C library give freed memory back to the system, where it can.

    What other threads have freed may stay, up to 64 MiB each.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _keep(largest_bytes: int) -> bool:
    chosen = os.environ.get(TUNABLES, "")
    if any(name in os.environ for name in SETTINGS) or _CHOSEN.search(chosen):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    if not (mallopt(_MMAP_THRESHOLD, largest_bytes) or mallopt(_MMAP_THRESHOLD, USUAL_BYTES)):
        return False
    is_all = largest_bytes >= LARGEST_BYTES
    mallopt(_TRIM_THRESHOLD, _NEVER if is_all else min(2 * largest_bytes, LARGEST_BYTES))
    _Kept.largest_bytes = largest_bytes
    return True

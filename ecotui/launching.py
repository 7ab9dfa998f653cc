"""The search for garbage waits for the first frame.

What is imported for it stays to the end: looking through that again and again, as more comes in,
takes a fifteenth of the time until something is seen, and later twenty milliseconds at once, in
which no key is heard.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def launching() -> Iterator[None]:
    """Look for no garbage until `settle`, or until the block ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def settle() -> None:
    """Look for garbage from now on, and leave out what is there: does nothing elsewhere."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()

"""What is kept of each photo: a row of a fixed size, and a small picture of it."""

from __future__ import annotations

import tempfile
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

AUDIT_VERSION = 2
"""Of what a row means: rows of another version are read again."""

TILE_SIDE = 32
"""Side of the small picture of each photo, pixels: its whole area squeezed into a square."""

FORMATS = ("", "JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO")
"""A row holds the place of a format in this list."""


class Outcome(IntEnum):
    """What came of reading a file."""

    UNKNOWN = 0
    """Not read yet."""
    READ = 1
    SUSPECT = 2
    """The training decoder reads it; a strict one complains."""
    EMPTY = 3
    TRUNCATED = 4
    UNREADABLE = 5
    UNSUPPORTED = 6
    NOT_PERMITTED = 7
    TOO_LARGE = 8


class Trait(IntFlag):
    """What a file has that most have not."""

    WRONG_EXTENSION = 1
    UNUSUAL_MODE = 2
    ROTATED = 4
    OUTSIDE_LINK = 8


ROW = np.dtype(
    [
        ("size", "<i8"),
        ("mtime_ns", "<i8"),
        ("inode", "<u8"),
        ("checksum", "<u8"),
        ("content", "<u8", (2,)),
        ("width", "<u4"),
        ("height", "<u4"),
        ("outcome", "u1"),
        ("traits", "u1"),
        ("format", "u1"),
        ("bright_99", "u1"),
        ("bright_5", "u1"),
        ("is_coloured", "u1"),
        ("entropy", "<f2"),
        ("edges", "<f4"),
        ("histogram_spread", "<f4"),
        ("colour_mean", "<f2", (3,)),
        ("colour_square", "<f2", (3,)),
    ]
)
"""Of one file: what tells it from a changed one, its content, size and looks.

`checksum` is of the whole file; `content` is the first half of its SHA-256 where another file
has the same size and checksum, and zeros elsewhere; `bright_99` and `bright_5` are percentiles
of its brightness, 0 to 255; `entropy` of its greys, bits; `edges` the standard deviation of
its edges; `histogram_spread` that of its grey histogram; `colour_mean` and `colour_square`
the means of R, G and B and of their squares, 0 to 1, where `is_coloured` says that they were
looked at.
"""

Rows = NDArray[Any]
"""Array of `ROW`, `[N]`."""
Tiles = NDArray[np.uint8]
"""Grey small pictures, `[N, TILE_SIDE, TILE_SIDE]`."""


def can_be_seen(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows have a picture, `[N]`."""
    outcomes = rows["outcome"]
    seen: NDArray[np.bool_] = (outcomes == Outcome.READ) | (outcomes == Outcome.SUSPECT)
    return seen


def row_file(count: int) -> Rows:
    """Return rows in a file that goes with the process: a million need no RAM of their own."""
    with tempfile.TemporaryFile(prefix="ecotui-audit-") as file:
        file.truncate(max(1, count) * ROW.itemsize)
        mapped = np.memmap(file, dtype=ROW, mode="r+", shape=(max(1, count),))
        # A plain array over the same memory: the mapped one takes its time at every access.
        return np.asarray(mapped)[:count]

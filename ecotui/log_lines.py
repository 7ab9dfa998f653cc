"""Logs of any length as numbered lines, of which only those looked at are made.

Two sources: what the app has read of a run's events, packed, and a text file, by the places of
its lines. Both are read by `LogView`; neither knows how lines are drawn.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

LINES_A_BLOCK = 256
MAX_PACKED_LINES = 1_000_000
"""Older ones are dropped by the block, and only counted."""
MAX_FILE_LINE_BYTES = 4_096
"""So much of a line of a file is read; the rest is left out."""
BITE_BYTES = 1_048_576


class Lines(Protocol):
    """A growing sequence of lines."""

    def __len__(self) -> int:
        """Return how many there are now."""

    def line(self, index: int) -> str:
        """Return a line as it was written: foreign text, not harmless yet."""


class PackedLines:
    """Lines in memory, packed by the block: ten times as many in the same room.

    One thread may add while another reads: a reader that comes upon a block just dropped gets
    another line or an IndexError, and looks again with the next frame.

    Args:
        most: Lines kept; the oldest block goes when there are more.
    """

    def __init__(self, most: int = MAX_PACKED_LINES) -> None:
        self.num_dropped = 0
        self._most = most
        self._blocks: list[bytes] = []
        self._open: list[str] = []
        self._unpacked: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        """Return how many lines are kept."""
        return len(self._blocks) * LINES_A_BLOCK + len(self._open)

    def add(self, line: str) -> None:
        """Add a line at the end; line feeds in it become spaces."""
        self._open.append(line.replace("\n", " "))
        if len(self._open) == LINES_A_BLOCK:
            packed = "\n".join(self._open).encode("utf-8", "surrogatepass")
            self._blocks.append(zlib.compress(packed, level=1))
            self._open = []
        self._drop()

    def line(self, index: int) -> str:
        """Return a line by its number.

        Raises:
            IndexError: There is none.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        block, place = divmod(index, LINES_A_BLOCK)
        if block == len(self._blocks):
            return self._open[place]
        if self._unpacked[0] != block:
            raw = zlib.decompress(self._blocks[block]).decode("utf-8", "surrogatepass")
            self._unpacked = (block, raw.split("\n"))
        return self._unpacked[1][place]

    def clear(self) -> None:
        """Forget every line."""
        self._blocks, self._open, self._unpacked, self.num_dropped = [], [], (-1, []), 0

    def _drop(self) -> None:
        while len(self) > self._most:
            del self._blocks[0]
            self._unpacked = (-1, [])
            self.num_dropped += LINES_A_BLOCK


class FileLines:
    """The lines of a text file that may grow, by their places in it.

    Args:
        path: Of the file; one that is not there has no lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("Q", [0])
        self._size = 0

    def __len__(self) -> int:
        """Return how many whole lines were found so far."""
        return len(self._starts) - 1

    def look(self) -> bool:
        """Look for more lines, at most a bite of the file; say whether there may be still more."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._size)
                bite = file.read(BITE_BYTES)
        except OSError:
            return False
        at = bite.find(b"\n")
        while at >= 0:
            self._starts.append(self._size + at + 1)
            at = bite.find(b"\n", at + 1)
        self._size += len(bite)
        return len(bite) == BITE_BYTES

    def line(self, index: int) -> str:
        """Return a line by its number, without its end.

        Raises:
            IndexError: There is none.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self._starts[index], self._starts[index + 1] - 1
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                raw = file.read(min(end - start, MAX_FILE_LINE_BYTES))
        except OSError:
            return ""
        return raw.decode("utf-8", "replace").rstrip("\r")


class Mapped:
    """Lines read through a function, such as one that words an event.

    Args:
        source: Where they come from.
        words: Makes a line of what the source holds.
    """

    def __init__(self, source: Lines, words: Callable[[str], str]) -> None:
        self._source = source
        self._words = words

    def __len__(self) -> int:
        """Return how many there are now."""
        return len(self._source)

    def line(self, index: int) -> str:
        """Return a line, as the function words it."""
        return self._words(self._source.line(index))

"""What a terminal shows after the bytes it was sent: just enough of one to read the screen."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

from rich.cells import cell_len

_PART = re.compile(
    r"\x1b\[([0-9;?<>=]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[^\[\]]|[\r\n\b]"
)
_CUT_OFF = re.compile(r"\x1b(?:\[[0-9;?<>=]*[ -/]*|\][^\x07\x1b]*\x1b?)?\Z")


class Picture:
    """The cells of a screen, as Textual draws them: by absolute places, without scrolling.

    Args:
        columns: Of the terminal.
        rows: Of it.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0
        self._rest = ""
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self.modes: set[str] = set()
        """Private modes that are on, such as `?1049`, the alternate screen."""

    def __str__(self) -> str:
        """Return the lines of the screen."""
        return "\n".join("".join(row).rstrip() for row in self._cells)

    def feed(self, sent: bytes) -> Picture:
        """Take more bytes in; a sequence or character that is cut off waits for its end."""
        text = self._rest + self._decoder.decode(sent)
        cut = _CUT_OFF.search(text)
        end = len(text) if cut is None else cut.start()
        text, self._rest = text[:end], text[end:]
        place = 0
        for part in _PART.finditer(text):
            self._write(text[place : part.start()])
            self._obey(part)
            place = part.end()
        self._write(text[place:])
        return self

    def _obey(self, part: re.Match[str]) -> None:
        numbers, final = part[1] or "", part[2] or ""
        if part[0] == "\r":
            self._column = 0
        elif part[0] == "\n":
            self._row = min(self._row + 1, self._rows - 1)
        elif part[0] == "\b":
            self._column = max(0, self._column - 1)
        elif final == "H":
            row, _, column = numbers.partition(";")
            self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
        elif final == "J":
            self._cells = [[" "] * self._columns for _ in range(self._rows)]
        elif final in "hl" and final and numbers.startswith("?"):
            for each in numbers[1:].split(";"):
                (self.modes.add if final == "h" else self.modes.discard)(f"?{each}")

    def _write(self, text: str) -> None:
        for character in text:
            width = cell_len(character)
            if not width or self._row >= self._rows:
                continue
            if self._column + width <= self._columns:
                cells = self._cells[self._row]
                cells[self._column : self._column + width] = [character, *[""] * (width - 1)]
            self._column += width

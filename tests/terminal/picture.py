"""What a terminal shows after the bytes it was sent: just enough of one to read the screen."""

from __future__ import annotations

import re

from rich.cells import cell_len

_PART = re.compile(
    rb"\x1b\[([0-9;?<>=]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\r\n\b]"
)


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
        self._rest = b""
        self.modes: set[str] = set()
        """Private modes that are on, such as `?1049`, the alternate screen."""

    def __str__(self) -> str:
        """Return the lines of the screen."""
        return "\n".join("".join(row).rstrip() for row in self._cells)

    def feed(self, sent: bytes) -> Picture:
        """Take more bytes in; a sequence or character that is cut off waits for its end."""
        sent = self._rest + sent
        end = sent.rfind(b"\x1b")
        # What comes last may go on in the next bytes.
        whole = end if end >= 0 and not _PART.match(sent, end) else len(sent)
        while whole and whole == len(sent) and not _is_text(sent[max(0, whole - 3) : whole]):
            whole -= 1
        sent, self._rest = sent[:whole], sent[whole:]
        place = 0
        for part in _PART.finditer(sent):
            self._write(sent[place : part.start()].decode("utf-8", "replace"))
            self._obey(part)
            place = part.end()
        self._write(sent[place:].decode("utf-8", "replace"))
        return self

    def _obey(self, part: re.Match[bytes]) -> None:
        numbers, final = (part[1] or b"").decode(), (part[2] or b"").decode()
        if part[0] == b"\r":
            self._column = 0
        elif part[0] == b"\n":
            self._row = min(self._row + 1, self._rows - 1)
        elif part[0] == b"\b":
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


def _is_text(end: bytes) -> bool:
    """Say whether no character of UTF-8 is cut off at the end."""
    for length in range(min(3, len(end)), 0, -1):
        lead = end[-length]
        if lead >= 0xC0:
            return length >= (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4)
        if lead < 0x80:
            return True
    return True

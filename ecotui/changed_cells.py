"""Sends the terminal the cells that changed, where Textual sends widgets whole.

A chart whose newest figure moved differs from the one before it in a few cells, and Textual tells
all of them anew, each run with its colours in full. Here, what the terminal shows is remembered,
an update is compared with it, and the difference is sent: a tenth of the bytes, over links where
they are felt. A full update is sent as it is, so that it mends whatever disturbed the screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

BRIDGED_CELLS = 6
"""So many cells that are as they were are sent again: a move over them takes more bytes."""
_RESET = "\x1b[0m"


class Look(NamedTuple):
    """Attributes and colours, as parameters of the sequence that sets them.

    A blank without attributes looks the same in every colour, and has none here.
    """

    attributes: str = ""
    colour: str = "39"
    background: str = "49"


PLAIN = Look()


class Cell(NamedTuple):
    """What stands in a cell: a character, or a part of a text that is only sent whole.

    Attributes:
        text: A character of one cell; or a text with characters of two cells or of none.
        look: How it is drawn.
        width: Of the text, in cells.
        place: Of this cell in the text.
    """

    text: str
    look: Look
    width: int = 1
    place: int = 0


Row = list[Cell | None]
"""The cells of a line; None where nobody knows what the terminal shows."""


class ChangedCells:
    """What the terminal shows, and so what of an update it does not show yet."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._whole: LayoutUpdate | None = None

    def forget(self) -> None:
        """Take nothing for granted that was sent before: the terminal may show anything."""
        self._rows, self._whole = {}, None

    def of(self, update: CompositorUpdate) -> CompositorUpdate:
        """Return an update that sends less, and after which the terminal shows the same."""
        if isinstance(update, ChopsUpdate):
            return _Changes(self, update)
        if isinstance(update, LayoutUpdate):
            return _Whole(self, update)
        return update

    def take_whole(self, update: LayoutUpdate) -> None:
        """Note that a full update is sent; it is looked at when something changes in it."""
        self._rows, self._whole = {}, update

    def take(self, update: ChopsUpdate, console: Console) -> str:
        """Return what is to be sent of an update, and remember it as sent."""
        colours = console._color_system or ColorSystem.TRUECOLOR
        self._look_at_whole(colours)
        pen = _Pen()
        for y, x, strip in _pieces(update):
            self._put(pen, y, x, _cells_of(strip, colours))
        return pen.sent()

    def _look_at_whole(self, colours: ColorSystem) -> None:
        whole, self._whole = self._whole, None
        if whole is None:
            return
        for y, strips in enumerate(whole.strips, whole.region.y):
            row: Row = [None] * whole.region.x
            for strip in strips:
                row += _cells_of(strip, colours)
            self._rows[y] = row

    def _put(self, pen: _Pen, y: int, x: int, cells: Sequence[Cell]) -> None:
        row, end = self._rows.setdefault(y, []), x + len(cells)
        row += [None] * (end - len(row))
        before = row[x:end]
        if before == cells:
            return
        _tear(row, x, end)
        row[x:end] = cells
        at = 0
        while at < len(cells):
            cell = cells[at]
            if before[at : at + cell.width] != cells[at : at + cell.width]:
                pen.draw(y, x + at, row)
            at += cell.width


class _Changes(CompositorUpdate):
    """An update of parts of the screen, sent as far as it changes anything."""

    def __init__(self, shown: ChangedCells, update: ChopsUpdate) -> None:
        self._shown, self._update = shown, update

    def render_segments(self, console: Console) -> str:
        """Return what is to be written to the terminal."""
        return self._shown.take(self._update, console)


class _Whole(CompositorUpdate):
    """A full update, sent as it is."""

    def __init__(self, shown: ChangedCells, update: LayoutUpdate) -> None:
        self._shown, self._update = shown, update

    def render_segments(self, console: Console) -> str:
        """Return what is to be written to the terminal."""
        self._shown.take_whole(self._update)
        return self._update.render_segments(console)


class _Pen:
    """Writes cells at their places; moves and changes its colours only where it must."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._look = PLAIN
        self._row, self._column = -1, -1

    def draw(self, y: int, x: int, row: Row) -> None:
        """Write the text that begins in a cell of a row."""
        cell = row[x]
        if cell is None:
            return
        if not self._bridges(y, x, row):
            self._parts.append(f"\x1b[{y + 1};{x + 1}H")
        self._put_on(cell.look)
        self._parts.append(cell.text)
        self._row, self._column = y, x + cell.width

    def sent(self) -> str:
        """Return all that was written, with no colour put on at its end."""
        return "".join(self._parts) + (_RESET if self._look != PLAIN else "")

    def _bridges(self, y: int, x: int, row: Row) -> bool:
        """Write what stands between here and there, where that is little and looks alike."""
        if y != self._row or not self._column <= x <= self._column + BRIDGED_CELLS:
            return False
        between = [cell for cell in row[self._column : x] if cell is not None]
        alike = [each.text for each in between if each.width == 1 and self._wears(each.look)]
        if len(alike) < x - self._column:
            return False
        self._parts += alike
        return True

    def _wears(self, look: Look) -> bool:
        has_colour = look.colour in ("", self._look.colour)
        return has_colour and (look.attributes, look.background) == self._look[::2]

    def _put_on(self, look: Look) -> None:
        if self._wears(look):
            return
        # Attributes are added to none, or else all is begun anew: each has another way to end.
        adds = self._look.attributes in ("", look.attributes)
        before = self._look if adds else PLAIN
        after = look._replace(colour=look.colour or before.colour)
        changes = [new for new, old in zip(after, before, strict=True) if new != old]
        self._parts.append(f"\x1b[{';'.join([*([] if adds else ['0']), *filter(None, changes)])}m")
        self._look = after


def _tear(row: Row, x: int, end: int) -> None:
    """Forget the rest of the texts that are written over in part."""
    first = row[x] if x < end else None
    if first is not None:
        row[x - first.place : x] = [None] * first.place
    while end < len(row) and (cell := row[end]) is not None and cell.place:
        row[end] = None
        end += 1


def _pieces(update: ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield row, column and cells of what an update draws, as `ChopsUpdate` draws it."""
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > last or end <= first:
                continue
            is_inside = last > x >= first and end <= last
            yield y, x, strip if is_inside else strip.crop(0, min(end, last) - x)


def _cells_of(strip: Strip, colours: ColorSystem) -> list[Cell]:
    return [
        cell for text, style, _ in strip for cell in _cells(text, style or Style.null(), colours)
    ]


@lru_cache(4_096)
def _cells(text: str, style: Style, colours: ColorSystem) -> tuple[Cell, ...]:
    """Return the cells that a text takes in a style."""
    look = _look(style, colours)
    if _is_simple(text):
        blank = look if look.attributes else look._replace(colour="")
        return tuple(Cell(each, blank if each == " " else look) for each in text)
    width = cell_len(text)
    return tuple(Cell(text, look, width, place) for place in range(width))


def _is_simple(text: str) -> bool:
    """Say whether every character takes one cell, and none belongs to another."""
    return (text.isascii() and text.isprintable()) or all(cell_len(each) == 1 for each in text)


@lru_cache(1_024)
def _look(style: Style, colours: ColorSystem) -> Look:
    """Return how a style looks; links are not told, and nothing here has one."""
    colour, background = (
        None if each is None else each.downgrade(colours) for each in (style.color, style.bgcolor)
    )
    return Look(
        Strip.render_ansi(style.without_color, colours),
        ";".join(colour.get_ansi_codes()) if colour else PLAIN.colour,
        ";".join(background.get_ansi_codes(foreground=False)) if background else PLAIN.background,
    )

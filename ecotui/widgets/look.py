"""How marks, bars and borders look: with all of Unicode or in ASCII, with or without colours.

The one place that decides it. Widgets draw with Unicode; where the terminal has ASCII alone, a
filter over every line puts another character in the place of each drawn one, cell by cell, so
that borders, scroll bars, charts and marks need no second drawing. What would lose its meaning
that way (a plot of dots, a picture) asks `look_of` and draws itself otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, cast, runtime_checkable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.widget import Widget

Glyphs = Literal["unicode", "ascii"]
Colours = Literal["full", "sixteen", "none"]


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show, or a person wants to see.

    Attributes:
        glyphs: Characters to draw with.
        colours: `full`: as many as the terminal has; `sixteen`: those of the terminal's own
            palette; `none`: bold, underlined and reversed text alone.
        is_animated: Whether anything moves by itself.
    """

    glyphs: Glyphs = "unicode"
    colours: Colours = "full"
    is_animated: bool = True

    @property
    def is_ascii(self) -> bool:
        """Whether only ASCII may be drawn with."""
        return self.glyphs == "ascii"


@runtime_checkable
class HasLook(Protocol):
    """An app that has chosen a look."""

    look: Look


def look_of(widget: Widget) -> Look:
    """Return the look of the app that a widget is in; all of Unicode and colour without one."""
    app = widget.app
    return cast(HasLook, app).look if isinstance(app, HasLook) else Look()


_PAIRS = {
    "─┄┈╌▔▁▂▃╴╶╼⎯": "-",
    "━┅┉╍═╸╺╾": "=",
    "│┃┆┇┊┋╎╏║▏▎▕╵╷╹╻╽╿": "|",
    "▊▋█▉▇▆▅▄▀▐▌▍▞▚▙▟▛▜▖▗▘▝■▪◼": "#",
    "▓▒░": ":",
    "✓✔": "+",
    "✗✘✕×": "x",
    "○◯◌": "o",
    "●◉•⬤": "*",
    "★☆": "*",
    "▶▸►▷→⟶❯›": ">",
    "◀◂◄◁←⟵❮‹": "<",
    "▲▴△↑⭡": "^",
    "▼▾▽↓⭣": "v",
    "‖": "=",
    "·∙⋅": ".",
    "–—−": "-",
    "…": "~",
    "“”„": '"',
    "‘’": "'",
    "╱⟋": "/",
    "╲⟍": "\\",
}
_IN_ASCII = {ord(drawn): plain for many, plain in _PAIRS.items() for drawn in many}
_DRAWN = (
    (0x2190, 0x23FF),
    (0x2500, 0x28FF),
    (0x2900, 0x297F),
    (0x2B00, 0x2BFF),
    (0x1F300, 0x1FAFF),
)
"""Arrows, technical signs, boxes, blocks, shapes, braille and emoji: never part of a word."""
_FEW_DOTS, _MANY_DOTS = 3, 6
"""Of the eight in a braille cell: how many are a point, a stroke, an area."""


@lru_cache(16_384)
def in_ascii(text: str) -> str:
    """Return a text with every drawn character replaced by an ASCII one of the same width.

    Letters stay as they are, also those of names in other scripts.
    """
    if text.isascii():
        return text
    return "".join(_plain(character) for character in text)


def _plain(character: str) -> str:
    code = ord(character)
    known = _IN_ASCII.get(code)
    if known is not None:
        return known
    if 0x2500 <= code <= 0x257F:  # corners and crossings: the lines are known
        return "+"
    if 0x2800 <= code <= 0x28FF:
        dots = (code - 0x2800).bit_count()
        return " .:#"[(dots > 0) + (dots > _FEW_DOTS) + (dots > _MANY_DOTS)]
    is_drawn = any(first <= code <= last for first, last in _DRAWN)
    return "?" * cell_len(character) if is_drawn else character


class NoColours(LineFilter):
    """Takes every colour away; what stood on a background of its own is reversed instead.

    So the cursor, a selection and a button in focus can still be told from the rest.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in the terminal's own two colours."""
        del background
        return [Segment(text, _uncoloured(style), control) for text, style, control in segments]


@lru_cache(1024)
def _uncoloured(style: Style | None) -> Style | None:
    if style is None:
        return None
    stands_out = style.bgcolor is not None and not style.bgcolor.is_default
    return style + (_REVERSED if stands_out else _DEFAULT)


_DEFAULT = Style(color="default", bgcolor="default")
_REVERSED = Style(color="default", bgcolor="default", reverse=True)


class AsciiOnly(LineFilter):
    """Draws every line that reaches the terminal with ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in ASCII; widths and styles stay."""
        del background
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]

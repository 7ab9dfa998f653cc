"""A small picture in half blocks, or in shades where the terminal has no colours for it."""

from __future__ import annotations

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from ecotui.png import Picture, Pixel, PngError, read_png
from ecotui.text import visible
from ecotui.widgets.look import look_of

_UPPER_HALF = "▀"
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:-=+*#%@"


class Thumbnail(Widget):
    """A preview written by the engine; a cell shows two pixels, one above the other.

    Args:
        columns: Width in cells.
        rows: Height in cells.
    """

    DEFAULT_CSS = "Thumbnail { width: auto; height: auto; }"

    def __init__(self, columns: int = 24, rows: int = 12, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns, self._rows = columns, rows
        self._raw: bytes | None = None
        self._picture: Picture | None = None
        self._fault = "no picture"

    def show(self, raw: bytes | None, instead: str = "no picture") -> None:
        """Show a PNG file of at most 128 pixels a side.

        Args:
            raw: The bytes of the file; None where there is none.
            instead: Is said where there is no picture.
        """
        if raw == self._raw and (raw is not None or instead == self._fault):
            return
        self._raw, self._picture, self._fault = raw, None, instead
        if raw is not None:
            try:
                self._picture = read_png(raw)
            except PngError as error:
                self._fault = f"no picture: {error}"
        self.refresh(layout=True)

    def copy_text(self) -> str:
        """Return what is said in place of the picture."""
        return self._fault if self._picture is None else "a picture"

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the width in cells."""
        del container, viewport
        return self._columns

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the height in cells."""
        del container, viewport, width
        return self._fitting(self._picture)[1] if self._picture is not None else 1

    def render_line(self, y: int) -> Strip:
        """Draw one line of the picture."""
        width = self.size.width
        if self._picture is None:
            told = visible(self._fault, limit=max(1, width)) if y == 0 else ""
            return Strip([Segment(told.ljust(width), self.rich_style)], width)
        look = look_of(self)
        columns, rows = self._fitting(self._picture)
        if y >= rows:
            return Strip.blank(width, self.rich_style)
        upper = _scaled(self._picture, columns, rows * 2, y * 2)
        lower = _scaled(self._picture, columns, rows * 2, y * 2 + 1)
        if look.colours == "full" and not look.is_ascii:
            cells = [_half_block(up, low) for up, low in zip(upper, lower, strict=True)]
        else:
            shades = _ASCII_SHADES if look.is_ascii else _SHADES
            text = "".join(_shade(up, low, shades) for up, low in zip(upper, lower, strict=True))
            cells = [Segment(text, self.rich_style)]
        return Strip(cells).adjust_cell_length(width, self.rich_style)

    def _fitting(self, picture: Picture) -> tuple[int, int]:
        """Return how many cells the picture takes, its proportions kept: a cell is two high."""
        scale = min(self._columns / picture.width, 2 * self._rows / picture.height)
        columns = max(1, min(self._columns, round(picture.width * scale)))
        return columns, max(1, min(self._rows, round(picture.height * scale / 2)))


def _scaled(picture: Picture, columns: int, rows: int, row: int) -> list[Pixel]:
    """Return one line of the picture at another size, each pixel the nearest one."""
    line = picture.rows[min(picture.height - 1, (2 * row + 1) * picture.height // (2 * rows))]
    return [
        line[min(picture.width - 1, (2 * column + 1) * picture.width // (2 * columns))]
        for column in range(columns)
    ]


def _half_block(upper: Pixel, lower: Pixel) -> Segment:
    style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
    return Segment(_UPPER_HALF, style)


def _shade(upper: Pixel, lower: Pixel, shades: str) -> str:
    light = (_luminance(upper) + _luminance(lower)) / 2
    return shades[min(len(shades) - 1, int(light * len(shades)))]


def _luminance(pixel: Pixel) -> float:
    """Return how light a pixel is, 0 to 1 (ITU-R BT.709, gamma left aside)."""
    red, green, blue = pixel
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255

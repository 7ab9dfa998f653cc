"""All that is known of the finding under the cursor, with the pictures concerned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import ItemGrid, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ecotui.text import visible
from ecotui.widgets.seen import Seen
from ecotui.widgets.thumbnail import Thumbnail

MAX_PICTURES = 12
_ONE_COLUMN = 26
_LARGE_ROWS = 26
_TALL_ROWS = 14


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and what stands below it.

    Attributes:
        raw: A PNG file; None where there is none.
        caption: In words.
        instead: Is said in place of a picture that is not there.
    """

    raw: bytes | None
    caption: str
    instead: str = "no picture"


class _Cell(Vertical):
    DEFAULT_CSS = """
    _Cell { width: 1fr; height: auto; }
    _Cell Static { width: 1fr; height: auto; max-height: 3; color: $foreground-muted; }
    """

    def __init__(self, shown: Shown, columns: int, rows: int) -> None:
        super().__init__()
        self._shown, self._columns, self._rows = shown, columns, rows

    def compose(self) -> ComposeResult:
        yield Thumbnail(self._columns, self._rows)
        yield Static(Content(visible(self._shown.caption, limit=200)), markup=False)

    def on_mount(self) -> None:
        self.query_one(Thumbnail).show(self._shown.raw, self._shown.instead)


class FindingDetail(VerticalScroll, can_focus=True):
    """A text, and below it pictures, as many side by side as there is room for.

    Args:
        title: Stands in the border.
    """

    DEFAULT_CSS = """
    FindingDetail { height: 1fr; scrollbar-size-vertical: 1; }
    FindingDetail > Static { height: auto; }
    FindingDetail > ItemGrid { height: auto; grid-gutter: 1 1; grid-rows: auto; }
    FindingDetail.-beside { layout: horizontal; }
    FindingDetail.-beside > Static { width: 1fr; }
    FindingDetail.-beside > ItemGrid { width: 26; }
    """

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = title
        self._text = Content("")
        self._seen = Seen()

    def compose(self) -> ComposeResult:
        """Lay out the text and the place of the pictures."""
        yield Static("", markup=False)
        yield ItemGrid(min_column_width=_ONE_COLUMN, stretch_height=False)

    def show(self, about: str, text: Content, pictures: Sequence[Shown] = ()) -> None:
        """Show a finding.

        Args:
            about: What it is, by its name: another one begins at its top.
            text: Of it.
            pictures: Concerned, at most 12 of them are shown.
        """
        shown = tuple(pictures[:MAX_PICTURES])
        pictured = tuple(part for each in shown for part in (each.caption, each.raw, each.instead))
        is_new = self._seen.are_new(about, text.markup, len(shown), self._cells(len(shown)))
        if not is_new and pictured == self._pictured:
            return
        self._text, self._pictured = text, pictured
        self.query_one(Static).update(text)
        self._put(shown)
        self.scroll_home(animate=False)

    _pictured: tuple[object, ...] = ()

    def copy_text(self) -> str:
        """Return the text, and what stands below each picture."""
        captions = [str(each) for each in self._pictured[::3]]
        return "\n".join([self._text.plain, *captions])

    def _cells(self, count: int) -> str:
        """Return how large each picture is drawn: one alone as large as there is room for."""
        width, height = self.size
        if count == 1 and height >= _LARGE_ROWS:
            rows = min(_LARGE_ROWS, height - 8)
            return f"{min(2 * rows + 4, max(8, width - 2))}x{rows}"
        return f"{_ONE_COLUMN - 2}x{11 if height >= _TALL_ROWS else 8}"

    def _put(self, shown: Sequence[Shown]) -> None:
        grid = self.query_one(ItemGrid)
        columns, rows = map(int, self._cells(len(shown)).split("x"))
        grid.remove_children()
        grid.display = bool(shown)
        # A picture below the text would be below the fold.
        self.set_class(len(shown) == 1 and self.size.height < _TALL_ROWS, "-beside")
        if shown:
            grid.mount_all([_Cell(each, columns, rows) for each in shown])

"""What each class was taken for: the matrix, and the worst of it in words."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Static

from ecotui.actions.panels import CONFUSION
from ecotui.evaluation_file import Confusion
from ecotui.text import percent, visible
from ecotui.widgets.panel import bindings_of

NUM_WORST = 12
MAX_NAME_CELLS = 16
MAX_HEAD_CELLS = 3
"""Names no longer than this head the columns themselves."""
_GRAVE_FRACTION = 0.2
"""Of a class taken for another one: marked as grave."""


class ConfusionMatrix(ScrollView, can_focus=True):
    """Rows are true classes, columns what they were taken for; names and numbers stay in view."""

    DEFAULT_CSS = """
    ConfusionMatrix { height: 1fr; scrollbar-size: 1 1; }
    """
    BINDINGS = bindings_of(CONFUSION)
    HELP = """
Each row is a true class, each column what its images were taken for: by the class's name where
all names are short, else by the number that stands before the name. On the diagonal stands what
was right. u changes between images and percent of the row; the arrows move about.
"""

    def __init__(self, hint: str = "") -> None:
        super().__init__()
        self._hint = f" · {hint}" if hint else ""
        self._confusion: Confusion | None = None
        self._heads: tuple[str, ...] = ()
        self._instead = "comes after the first validation"
        self._is_percent = False
        self._entitle()

    def show(self, confusion: Confusion | None, instead: str = "") -> None:
        """Show a matrix.

        Args:
            confusion: What each class was taken for; None where nothing is known.
            instead: Is said then.
        """
        if instead:
            self._instead = instead
        if confusion is not self._confusion or confusion is None:
            self._confusion = confusion
            self._heads = () if confusion is None else column_heads(confusion.names)
            self._lay_out()

    def copy_text(self) -> str:
        """Return the whole matrix, cells apart by tabs."""
        found = self._confusion
        if found is None:
            return self._instead
        rows = [("true \\ taken for", *found.names)]
        rows += [
            (name, *map(str, counts))
            for name, counts in zip(found.names, found.counts, strict=True)
        ]
        return "\n".join("\t".join(row) for row in rows)

    def action_units(self) -> None:
        """Change between images and percent."""
        self._is_percent = not self._is_percent
        self._lay_out()

    def action_scroll_left(self) -> None:
        """Move by one class."""
        self.scroll_relative(x=-self._cell_cells, animate=False)

    def action_scroll_right(self) -> None:
        """Move by one class."""
        self.scroll_relative(x=self._cell_cells, animate=False)

    def on_resize(self) -> None:
        """Lay out anew."""
        self._lay_out()

    def _entitle(self) -> None:
        unit = "percent" if self._is_percent else "images"
        self.border_title = f"Confusion, a row a true class, {unit} (u){self._hint}"

    def _lay_out(self) -> None:
        self._entitle()
        found = self._confusion
        if found is not None:
            size = len(found.names)
            self.virtual_size = Size(self._label_cells + size * self._cell_cells, size + 1)
        self.refresh()

    @property
    def _label_cells(self) -> int:
        return self._number_cells + self._name_cells + 1

    @property
    def _number_cells(self) -> int:
        """Room for the numbers before the names and a space; none where names head the columns."""
        return 0 if self._are_names else max(map(cell_len, self._heads), default=0) + 1

    @property
    def _are_names(self) -> bool:
        found = self._confusion
        return found is not None and self._heads == tuple(map(visible, found.names))

    @property
    def _name_cells(self) -> int:
        names = () if self._confusion is None else self._confusion.names
        longest = max((cell_len(visible(name, limit=MAX_NAME_CELLS)) for name in names), default=0)
        return min(MAX_NAME_CELLS, longest)

    @property
    def _cell_cells(self) -> int:
        found = self._confusion
        if found is None:
            return 4
        largest = 100 if self._is_percent else max(max(row) for row in found.counts)
        return max(len(str(largest)), *map(cell_len, self._heads)) + 1

    def render_line(self, y: int) -> Strip:
        """Draw the numbers of the columns, or a row."""
        width = self.scrollable_content_region.width
        content = self._content(y, width).truncate(width)
        strips = Visual.to_strips(self, content, width, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(width, self.rich_style)

    def _content(self, y: int, width: int) -> Content:
        found = self._confusion
        if found is None:
            lines = wrap(visible(self._instead), max(1, width))
            return Content.styled(lines[y] if y < len(lines) else "", "$foreground-muted")
        cells = self._cell_cells
        first = -(-self.scroll_offset.x // cells)  # rounded up, so that the last column is reached
        last = min(len(found.names), first + max(1, (width - self._label_cells) // cells))
        columns = range(first, last)
        if y == 0:
            heads = "".join(_right(self._heads[column], cells) for column in columns)
            return Content.styled(" " * self._label_cells + heads, "$text-primary")
        truth = y - 1 + self.scroll_offset.y
        if truth >= len(found.names):
            return Content("")
        name = set_cell_size(
            visible(found.names[truth], limit=MAX_NAME_CELLS + 1), self._name_cells
        )
        support = found.support(truth)
        parts = [self._cell(found, truth, column, support) for column in columns]
        number = "" if self._are_names else f"{_right(self._heads[truth], self._number_cells - 1)} "
        label = (number, "$text-primary")
        return Content.assemble(label, f"{name} ", *parts)

    def _cell(self, found: Confusion, truth: int, column: int, support: int) -> tuple[str, str]:
        count, cells = found.counts[truth][column], self._cell_cells
        if not count:
            return f"{'·':>{cells}}", "$foreground-muted"
        fraction = count / max(1, support)
        figure = f"{100 * fraction:.0f}" if self._is_percent else str(count)
        if column == truth:
            return f"{figure:>{cells}}", "$text-success bold"
        is_grave = fraction >= _GRAVE_FRACTION
        return f"{figure:>{cells}}", "$text-error bold reverse" if is_grave else "$text-warning"


def column_heads(names: Sequence[str]) -> tuple[str, ...]:
    """Return what stands over the columns of a matrix: the names of the classes, or their numbers.

    A number is marked as one where a class is called by a number as well.
    """
    shown = tuple(map(visible, names))
    if all(cell_len(name) <= MAX_HEAD_CELLS for name in shown):
        return shown
    mark = "#" if any(name.strip().isdecimal() for name in shown) else ""
    return tuple(f"{mark}{number}" for number in range(1, len(shown) + 1))


def _right(words: str, cells: int) -> str:
    return " " * (cells - cell_len(words)) + words


class ConfusionPanel(Container):
    """The matrix, and below it the commonest mistakes in words.

    Args:
        hint: Stands in the title; may be empty.
    """

    DEFAULT_CSS = """
    ConfusionPanel { layout: vertical; height: 1fr; }
    ConfusionPanel > ConfusionMatrix { border-top: solid $primary-muted;
        border-title-color: $text-primary; padding: 0 1; }
    ConfusionPanel > ConfusionMatrix:focus { border-top: heavy $accent; }
    ConfusionPanel > Static { height: auto; max-height: 40%; padding: 0 1;
        border-top: solid $primary-muted; border-title-color: $text-primary;
        text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, hint: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._hint = hint
        self._shown: tuple[Confusion | None, str] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the matrix and the words."""
        yield ConfusionMatrix(self._hint)
        words = Static("", id="worst", markup=False)
        words.border_title = "Most often mistaken"
        yield words

    def show(self, confusion: Confusion | None, instead: str = "") -> None:
        """Show a matrix and the worst of it.

        Args:
            confusion: What each class was taken for; None where nothing is known.
            instead: Is said then.
        """
        if self._shown is not None and self._shown[0] is confusion and self._shown[1] == instead:
            return
        self._shown = (confusion, instead)
        self.query_one(ConfusionMatrix).show(confusion, instead)
        words = self.query_one("#worst", Static)
        words.display = confusion is not None
        if confusion is not None:
            told = mistake_lines(confusion, NUM_WORST) or ["no image was mistaken"]
            words.update(Content("\n").join(Content(line) for line in told))


def mistake_lines(confusion: Confusion, limit: int) -> list[str]:
    """Return the commonest mistakes in words, most images first."""
    names = [visible(name, limit=40) for name in confusion.names]
    return [
        f"{names[each.truth]} taken for {names[each.taken_for]}: {each.count:,} of "
        f"{confusion.support(each.truth):,} ({percent(each.fraction, 1)})"
        for each in confusion.mistakes(limit)
    ]

"""The keys that work here, and what the panel in focus shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ecotui.text import visible


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key and what it does.

    Attributes:
        key: As it stands on the keyboard.
        does: In words.
        is_possible: Whether it does anything now.
    """

    key: str
    does: str
    is_possible: bool = True


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """Keys that belong together, under a heading."""

    heading: str
    rows: tuple[KeyRow, ...]


class HelpScreen(ModalScreen[None]):
    """Keys by where they are heard; those that do nothing now are told apart by a word.

    Args:
        title: Stands in the border.
        told: Lines of text before the keys.
        groups: Of keys.
    """

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 95%;
        padding: 0 1; border: round $primary; border-title-color: $text-primary;
        background: $surface; }
    """
    BINDINGS = [Binding("escape,q,question_mark,enter,f1", "dismiss", "Close")]  # noqa: RUF012

    def __init__(self, title: str, groups: Sequence[KeyGroup], told: str = "") -> None:
        super().__init__()
        self._title = title
        self._groups = groups
        self._told = told

    def compose(self) -> ComposeResult:
        """Lay out the text and a line a key."""
        with VerticalScroll() as box:
            box.border_title = self._title
            box.border_subtitle = "Esc closes"
            yield Static(Content("\n").join(self._lines()), markup=False)

    def _lines(self) -> Iterable[Content]:
        if self._told:
            yield from (Content(visible(line)) for line in self._told.strip().splitlines())
        keys = [row.key for group in self._groups for row in group.rows]
        width = max(map(len, keys), default=0)
        for group in self._groups:
            if group.rows:
                yield Content.styled(visible(group.heading), "bold")
            for row in group.rows:
                yield _line(row, width)


def _line(row: KeyRow, width: int) -> Content:
    key, does = f"{visible(row.key):>{width}}", f"  {visible(row.does)}"
    if row.is_possible:
        return Content.assemble((key, "$text-primary bold"), does)
    return Content.styled(f"{key}{does} (not now)", "$foreground-muted")

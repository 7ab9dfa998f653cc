"""One alert in full: what happened, what was done, what to do, and where more is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ecotui.alert_lines import AlertRow
from ecotui.alert_register import GUARDS
from ecotui.screens.messages import Copy
from ecotui.widgets.alert_text import detail_lines

AlertWish = Literal["silence", "record", "layer", "seen"]
MAX_RECORD_LINES = 2_000


class TextScreen(ModalScreen[AlertWish]):
    """A text to be read and scrolled, with keys named below it.

    Closes with what is wished for, or None.

    Args:
        title: Stands in the border; foreign text in it is harmless already.
        lines: Of the text, harmless already.
        hint: Which keys do what.
    """

    DEFAULT_CSS = """
    TextScreen { align: center middle; }
    TextScreen > VerticalScroll { width: 100; max-width: 100%; height: auto; max-height: 95%;
        padding: 0 1; border: round $primary; border-title-color: $text-primary;
        background: $surface; }
    """
    BINDINGS = [  # noqa: RUF012
        Binding("escape,q,enter", "dismiss", "Close"),
        Binding("y", "copy", "Copy"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Content], hint: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._hint = hint

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll() as box:
            box.border_title = Content(self._title)
            box.border_subtitle = Content(self._hint)
            yield Static(Content("\n").join(self._lines), markup=False)

    def action_copy(self) -> None:
        """Copy the text."""
        self.post_message(Copy("\n".join(line.plain for line in self._lines), self._title))

    def action_scroll(self, by: int) -> None:
        """Move the text."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


class AlertScreen(TextScreen):
    """An alert; closes with what is to be done about it, or None.

    Args:
        row: The alert.
        can_ask: Whether the engine of the run can be asked for anything.
        is_silent: Whether its guard acts no more.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("m", "wish('silence')", "Silence"),
        Binding("i", "wish('record')", "Record"),
        Binding("l", "wish('layer')", "Layer"),
        Binding("a", "wish('seen')", "Seen"),
    ]

    def __init__(self, row: AlertRow, *, can_ask: bool, is_silent: bool) -> None:
        self._row = row
        self._can_silence = can_ask and row.name in GUARDS
        does = "lets the guard act again" if is_silent else "silences the guard"
        hints = ["Esc closes", "a seen", "y copies"]
        hints += ["l its layer"] if row.layer else []
        hints += [f"m {does}"] if self._can_silence else []
        hints += ["i the record"] if row.record else []
        super().__init__("Alert", list(detail_lines(row)), ", ".join(hints))

    def action_wish(self, wish: AlertWish) -> None:
        """Close with a wish, where it is possible."""
        possible: dict[AlertWish, bool] = {
            "silence": self._can_silence,
            "record": bool(self._row.record),
            "layer": self._row.layer is not None,
            "seen": True,
        }
        if possible[wish]:
            self.dismiss(wish)


def record_lines(written: str) -> Iterable[str]:
    """Return the lines of a record, the first 2,000."""
    lines = written.splitlines()
    yield from lines[:MAX_RECORD_LINES]
    if len(lines) > MAX_RECORD_LINES:
        yield f"... {len(lines) - MAX_RECORD_LINES:,} more lines"

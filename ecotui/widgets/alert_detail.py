"""The alert under the cursor, beside the log."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ecotui.alert_lines import AlertRow
from ecotui.widgets.alert_text import detail_lines


class AlertDetail(VerticalScroll):
    """All that is known of one alert."""

    DEFAULT_CSS = "AlertDetail { height: 1fr; } AlertDetail > Static { height: auto; }"
    HELP = "What the chosen alert says, what it means, and what you can do about it."

    def __init__(self) -> None:
        super().__init__()
        self._row: AlertRow | None = None
        self.border_title = "The chosen alert"

    def compose(self) -> ComposeResult:
        """Lay out one text."""
        yield Static("", markup=False)

    def show(self, row: AlertRow | None) -> None:
        """Show an alert; nothing where there is none."""
        if row is self._row:
            return
        self._row = row
        lines = [] if row is None else list(detail_lines(row))
        self.query_one(Static).update(Content("\n").join(lines))
        self.scroll_home(animate=False)

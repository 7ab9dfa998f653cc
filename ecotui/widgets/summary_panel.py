"""How the run ended, what it reached and what can be done next."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ecotui.text import visible


class SummaryPanel(VerticalScroll):
    """The lines of the final summary; out of sight before there are any."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[str, ...] | None = None
        self.border_title = "Summary"
        self.display = False

    def compose(self) -> ComposeResult:
        """Lay out one text."""
        yield Static("", markup=False)

    def show(self, lines: tuple[str, ...]) -> None:
        """Show the lines, or nothing where there are none."""
        if lines == self._shown:
            return
        self._shown = lines
        self.display = bool(lines)
        text = Content("\n").join(Content(visible(line)) for line in lines)
        self.query_one(Static).update(text)
        self.scroll_home(animate=False)
        # Not from under the hands of somebody who is in another tab.
        if lines and all(node.display for node in self.ancestors_with_self):
            self.focus()

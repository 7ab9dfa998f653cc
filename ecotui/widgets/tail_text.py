"""Text that grows at its end, which stays in view."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static


class TailText(VerticalScroll):
    """Lines that wrap as the terminal is resized; the newest, at the bottom, is in view."""

    ALLOW_MAXIMIZE = True

    def compose(self) -> ComposeResult:
        """Lay out one text."""
        yield _Lines("", markup=False)

    def write(self, lines: list[Content], *, empty: str) -> None:
        """Replace the lines; `empty` is said where there are none."""
        told = lines or [Content.styled(empty, "$foreground-muted")]
        self.query_one(_Lines).update(Content("\n").join(told))


class _Lines(Static):
    def on_resize(self) -> None:
        """Go to the end, now that it is known how high the text is."""
        if isinstance(self.parent, Widget):
            self.parent.scroll_end(animate=False)

"""The tabs of a screen on one line, each with its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from ecotui.actions.training import Tab
from ecotui.text import visible


class TabLine(Static):
    """Names and keys of the tabs; the one in view is reversed and in brackets.

    Args:
        tabs: In order.
    """

    DEFAULT_CSS = """
    TabLine { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    @dataclass
    class Chosen(Message):
        """A tab was clicked."""

        tab: str

    def __init__(self, tabs: Sequence[Tab]) -> None:
        super().__init__("", markup=False)
        self._tabs = tabs
        self._shown: tuple[str, dict[str, str]] = (tabs[0].id, {})
        self._places: list[tuple[int, int, str]] = []

    def show(self, active: str, remarks: dict[str, str]) -> None:
        """Show which tab is in view, and a remark beside some of them.

        Args:
            active: Id of the tab in view.
            remarks: A word by the id of the tab that it belongs to.
        """
        if (active, remarks) != self._shown or not self._places:
            self._shown = (active, dict(remarks))
            self._draw()

    def on_resize(self) -> None:
        """Use the room there is."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Go to the tab that was clicked."""
        at = event.get_content_offset(self)
        for start, end, tab in self._places:
            if at is not None and start <= at.x < end:
                self.post_message(self.Chosen(tab))

    def _draw(self) -> None:
        long = [self._entry(tab, is_short=False) for tab in self._tabs]
        is_short = sum(each.cell_length + 1 for each in long) - 1 > self.size.width
        entries = [self._entry(tab, is_short=True) for tab in self._tabs] if is_short else long
        self._places, at = [], 0
        for tab, entry in zip(self._tabs, entries, strict=True):
            self._places.append((at, at + entry.cell_length, tab.id))
            at += entry.cell_length + 1
        self.update(Content(" ").join(entries))

    def _entry(self, tab: Tab, *, is_short: bool) -> Content:
        active, remarks = self._shown
        word = tab.short if is_short else tab.word
        remark = f" {visible(remarks[tab.id], limit=12)}" if remarks.get(tab.id) else ""
        if tab.id == active:
            return Content.styled(f"[{tab.key} {word}{remark}]", "bold reverse")
        return Content.assemble((tab.key, "bold $text-primary"), f" {word}", (remark, "bold"))

"""A log of any length: only the lines in view are read, coloured and drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events, work
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from ecotui.actions.panels import LOG
from ecotui.log_lines import Lines
from ecotui.text import counted, visible
from ecotui.widgets.panel import bindings_of

Paint = Callable[[str], Content]
"""Makes what is shown of a line as it was written; makes it harmless, too."""
MAX_COPIED_LINES = 5_000
LINES_A_SEARCH_STEP = 500
"""Looked through before other things get their turn."""


def plain(line: str) -> Content:
    """Paint a line as it is, made harmless."""
    return Content(visible(line))


class LogView(ScrollView, can_focus=True):
    """Lines one below the other, with a cursor; the line under it is shown in full.

    The newest line stays in view until the cursor leaves it. `/` searches, `n` and `N` go on.

    Args:
        title: Stands in the border.
        empty: Is said where there are no lines.
        paint: Makes what is shown of a line.
    """

    DEFAULT_CSS = """
    LogView > .log--cursor { background: $block-cursor-background;
        color: $block-cursor-foreground; text-style: $block-cursor-text-style; }
    LogView > .log--empty { color: $foreground-muted; }
    LogView { overflow-x: hidden; scrollbar-size-vertical: 1; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor", "log--empty"}
    BINDINGS = bindings_of(LOG)
    HELP = """
Everything in this log, the newest at the end, which stays in view until you move.
The line under the cursor is shown in full. / finds words, n and N go from one to the next.
"""

    @dataclass
    class Chosen(Message):
        """A line was chosen with Enter.

        Attributes:
            view: The log.
            index: Of the line.
            line: As it was written.
        """

        view: LogView
        index: int
        line: str

    def __init__(
        self,
        title: str,
        empty: str,
        paint: Paint = plain,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._title = title
        self.border_title = title
        self.empty = empty
        self._paint = paint
        self._lines: Lines | None = None
        self._num_lines = 0
        self._cursor = 0
        self._follows = True
        self._typed: str | None = None
        self._sought = ""
        self._unfolded: tuple[object, list[Content]] = (None, [])

    def show(self, lines: Lines) -> None:
        """Show these lines, or how many there are now where they are the same ones."""
        is_other, num_lines = lines is not self._lines, len(lines)
        if not is_other and num_lines == self._num_lines:
            return
        # A log that became shorter is another one: that of another run.
        if is_other or num_lines < self._num_lines:
            self._follows = True
        self._lines, self._num_lines = lines, num_lines
        if self._follows:
            self._cursor = max(0, num_lines - 1)
        self._lay_out()

    @property
    def cursor(self) -> int:
        """Number of the line under the cursor."""
        return self._cursor

    def copy_text(self) -> str:
        """Return the lines, the last 5,000 where there are more."""
        first = max(0, self._num_lines - MAX_COPIED_LINES)
        return "\n".join(self._content(index).plain for index in range(first, self._num_lines))

    # Drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw one line of those in view."""
        width = self.scrollable_content_region.width
        if not self._num_lines:
            return self._drawn(Content(self.empty if y == 0 else ""), width, "log--empty")
        row = y + self.scroll_offset.y
        extra = self._extra_rows()
        if row < self._cursor:
            return self._drawn(self._content(row), width)
        if row > self._cursor + extra:
            index = row - extra
            content = self._content(index) if index < self._num_lines else Content("")
            return self._drawn(content, width)
        part = self._cursor_rows()[row - self._cursor]
        if not self.has_focus:
            return self._drawn(part, width)
        # Colours of its own could not be told from that of the cursor.
        return self._drawn(Content(part.plain), width, "log--cursor")

    def _drawn(self, content: Content, width: int, name: str = "") -> Strip:
        own = self.get_visual_style(name) if name else self.visual_style
        found = self._with_matches(content).truncate(width, ellipsis=True)
        strips = Visual.to_strips(self, found, width, 1, own, pad=True)
        return strips[0] if strips else Strip.blank(width, self.rich_style)

    def _with_matches(self, content: Content) -> Content:
        words, text = self._sought.lower(), content.plain.lower()
        if not words or len(text) != len(content.plain):
            return content
        at = text.find(words)
        while at >= 0:
            content = content.stylize("bold underline", at, at + len(words))
            at = text.find(words, at + len(words))
        return content

    def _content(self, index: int) -> Content:
        try:
            return Content("") if self._lines is None else self._paint(self._lines.line(index))
        except IndexError:  # Dropped at this very moment: the next frame knows.
            return Content("")

    def _cursor_rows(self) -> list[Content]:
        """Return the line under the cursor, folded to the width where it has the focus."""
        width = max(1, self.scrollable_content_region.width)
        key = (id(self._lines), self._num_lines, self._cursor, width, self.has_focus)
        if self._unfolded[0] != key:
            content = self._content(self._cursor)
            rows = content.wrap(width) if self.has_focus else [content]
            self._unfolded = (key, rows or [content])
        return self._unfolded[1]

    def _extra_rows(self) -> int:
        return len(self._cursor_rows()) - 1 if self._num_lines else 0

    def _lay_out(self) -> None:
        """Make room for all lines, keep the cursor in view, and say where it is."""
        extra = self._extra_rows()
        width = self.scrollable_content_region.width
        self.virtual_size = Size(width, self._num_lines + extra)
        height, top = max(1, self.scrollable_content_region.height), self.scroll_offset.y
        if self._cursor < top:
            top = self._cursor
        elif self._cursor + extra >= top + height:
            top = self._cursor + extra - height + 1
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self._tell_where()
        self.refresh()

    def _tell_where(self) -> None:
        if self._typed is not None:
            words = f"/{visible(self._typed)}_  Enter finds, Esc cancels"
        elif self._follows or not self._num_lines:
            words = counted(self._num_lines, "line")
        else:
            words = f"{self._cursor + 1:,} of {counted(self._num_lines, 'line')}"
        self._tell(words)

    def _tell(self, words: str) -> None:
        """Say something beside the title: a panel may have no lower border to say it in."""
        self.border_title = Content(f"{self._title} · {words}")

    def on_resize(self) -> None:
        """Fold anew."""
        self._lay_out()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Unfold the line under the cursor while keys are heard; forget what was typed after."""
        super().watch_has_focus(has_focus)
        if not has_focus:
            self._typed = None
        self._lay_out()
        self._tell_where()

    # Moving ---------------------------------------------------------------------------------------

    def action_go(self, by: int) -> None:
        """Move the cursor."""
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by what is in view."""
        height = max(1, self.scrollable_content_region.height - 1)
        self._move_to(self._cursor + by * height)

    def action_top(self) -> None:
        """Move the cursor to the first line."""
        self._move_to(0)

    def action_end(self) -> None:
        """Move the cursor to the last line, and stay with what is new."""
        self._move_to(self._num_lines - 1)

    def action_choose(self) -> None:
        """Say that the line under the cursor is chosen."""
        if self._lines is not None and self._num_lines:
            line = self._lines.line(self._cursor)
            self.post_message(self.Chosen(self, self._cursor, line))

    def _move_to(self, index: int) -> None:
        self._cursor = min(max(0, index), max(0, self._num_lines - 1))
        self._follows = self._cursor >= self._num_lines - 1
        self._lay_out()

    # Searching ------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Take the keys that follow for the words to find."""
        self._typed = ""
        self._tell_where()

    def on_key(self, event: events.Key) -> None:
        """Take a letter of the words to find, before anything else makes a key of it."""
        if self._typed is None:
            return
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self._typed = None
        elif event.key == "enter":
            self._sought, self._typed = self._typed, None
            self._find(1, include_here=True)
        elif event.key == "backspace":
            self._typed = self._typed[:-1]
        elif event.is_printable and event.character is not None:
            self._typed += event.character
        self._tell_where()
        self.refresh()

    def action_next_match(self) -> None:
        """Go to the next line with the words."""
        self._find(1)

    def action_previous_match(self) -> None:
        """Go to the line with the words before this one."""
        self._find(-1)

    @work(group="search", exclusive=True, exit_on_error=False)
    async def _find(self, by: int, *, include_here: bool = False) -> None:
        """Go to the nearest line with the words, round the end if need be."""
        words, count = self._sought.lower(), self._num_lines
        if not words or not count:
            return
        start = self._cursor + (0 if include_here else by)
        for step in range(count):
            index = (start + by * step) % count
            if words in self._content(index).plain.lower():
                self._move_to(index)
                return
            if step % LINES_A_SEARCH_STEP == LINES_A_SEARCH_STEP - 1:
                self._tell(f"looking through {counted(count, 'line')}")
                await asyncio.sleep(0)
        self._tell(f"nowhere: {visible(self._sought, limit=40)}")

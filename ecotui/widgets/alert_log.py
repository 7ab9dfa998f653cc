"""Every alert of a run, however many: filtered, acknowledged, and opened one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from textual import events, work
from textual.content import Content
from textual.message import Message

from ecotui.actions.panels import ALERTS
from ecotui.alert_lines import LEVELS, Acknowledged, AlertRow, Filter, Filtered, row_of
from ecotui.log_lines import Lines
from ecotui.text import counted, visible
from ecotui.widgets.alert_text import line_of
from ecotui.widgets.log_view import LogView
from ecotui.widgets.panel import bindings_of

NONE_SO_FAR = "none so far"
NONE_LEFT = "none like that: e shows every alert"
LINES_A_LOOK = 1_000
"""Looked through before other things get their turn."""
_LEVEL_WORDS = {"note": "all levels", "warning": "warning and critical", "critical": "critical"}


class AlertLog(LogView):
    """Alerts in the order they came, the newest in view; those not seen yet have a mark.

    Args:
        title: Stands in the border.
        acknowledged: Which were seen; shared with whoever shows the same alerts.
        only: What is shown to begin with, and again after `e`.
    """

    DEFAULT_CSS = "AlertLog { height: 1fr; }"
    BINDINGS = bindings_of(ALERTS)
    HELP = """
Everything that a guard or a watch said of this run, and every photo set aside, newest last.
• marks what you have not acknowledged. Enter opens an alert with advice and files, f chooses the
levels, t leaves those with certain words, e shows everything again, a acknowledges one, X all.
"""

    @dataclass
    class Highlighted(Message):
        """Another alert is under the cursor.

        Attributes:
            row: The alert; None where there is none.
        """

        row: AlertRow | None

    def __init__(
        self,
        title: str = "Alerts",
        acknowledged: Acknowledged | None = None,
        only: Filter | None = None,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, NONE_SO_FAR, self._painted, id=id)
        self._acknowledged = Acknowledged() if acknowledged is None else acknowledged
        self._at_first = self._filter = Filter() if only is None else only
        self._source: Lines | None = None
        self._filtered: Filtered | None = None
        self._types_filter = False
        self._highlighted: str | None = None

    def show(self, lines: Lines) -> None:
        """Show these alerts, as far as the filter keeps them."""
        if self._source is not lines:
            self._source = lines
            self._refilter()
        elif self._filtered is None:
            super().show(lines)
        else:
            if self._filtered.look(LINES_A_LOOK):
                self._look_on()
            super().show(self._filtered)
        self._note_highlighted()

    @property
    def row(self) -> AlertRow | None:
        """The alert under the cursor."""
        line = self._line_at_cursor()
        return None if line is None else row_of(line)

    def see(self, wanted: Filter) -> None:
        """Filter otherwise."""
        self._filter = wanted
        self._refilter()

    # Filtering ------------------------------------------------------------------------------------

    def _refilter(self) -> None:
        source = self._source
        if source is None:
            return
        self.empty = NONE_SO_FAR if self._filter.is_open else NONE_LEFT
        if self._filter.is_open:
            self._filtered = None
            super().show(source)
        else:
            self._filtered = Filtered(source, self._filter.keeps)
            super().show(self._filtered)
            self._look_on()
        self._tell_where()
        self._note_highlighted()

    @work(group="filter", exclusive=True, exit_on_error=False)
    async def _look_on(self) -> None:
        """Look through what is left of the log, a piece at a time."""
        filtered = self._filtered
        while filtered is not None and filtered is self._filtered:
            is_more = filtered.look(LINES_A_LOOK)
            super().show(filtered)
            self._note_highlighted()
            if not is_more:
                return
            await asyncio.sleep(0)

    def action_level(self) -> None:
        """Show graver ones alone, and after the gravest all again."""
        at = LEVELS.index(self._filter.level)
        self.see(replace(self._filter, level=LEVELS[(at + 1) % len(LEVELS)]))

    def action_filter_text(self) -> None:
        """Take the keys that follow for words that an alert must hold."""
        self._types_filter, self._typed = True, self._filter.words
        self._tell_where()

    def action_show_everything(self) -> None:
        """Forget the filter."""
        self.see(self._at_first)

    def action_search(self) -> None:
        """Take the keys that follow for words to find."""
        self._types_filter = False
        super().action_search()

    def on_key(self, event: events.Key) -> None:
        """Filter with Enter; every other letter is taken by the method of the same name above."""
        if self._typed is None or not self._types_filter or event.key != "enter":
            return
        event.stop()
        event.prevent_default()
        words, self._typed = self._typed.strip(), None
        self.see(replace(self._filter, words=words))

    # Acknowledging --------------------------------------------------------------------------------

    def action_acknowledge(self) -> None:
        """Mark the alert under the cursor as seen, and go to the next one."""
        row = self.row
        if row is not None:
            self._acknowledged.add(row.seq)
            self._unfolded = (None, [])
            self.post_message(self.Acknowledgement())
            self.action_go(1)
            self.refresh()

    def action_acknowledge_all(self) -> None:
        """Mark every alert as seen."""
        source = self._source
        if source is not None and len(source):
            dropped = getattr(source, "num_dropped", 0)
            last = row_of(source.line(len(source) - 1))
            self._acknowledged.add_all(last.seq, dropped + len(source))
            self._unfolded = (None, [])
            self.post_message(self.Acknowledgement())
            self._lay_out()

    @dataclass
    class Acknowledgement(Message):
        """Alerts were marked as seen."""

    # Drawing --------------------------------------------------------------------------------------

    def _painted(self, line: str) -> Content:
        row = row_of(line)
        return line_of(row, is_seen=self._acknowledged.has(row.seq))

    def _tell_where(self) -> None:
        if self._typed is not None and self._types_filter:
            self._tell(f"with: {visible(self._typed)}_  Enter filters, Esc cancels")
            return
        if self._typed is not None:
            super()._tell_where()
            return
        total = 0 if self._source is None else len(self._source)
        parts = [counted(self._num_lines, "alert")]
        if not self._filter.is_open and self._filter != self._at_first:
            parts = [f"{self._num_lines:,} of {counted(total, 'alert')}"]
            parts.append(_LEVEL_WORDS[self._filter.level])
            if self._filter.words:
                parts.append(f"with '{visible(self._filter.words, limit=40)}'")
        if not self._follows and self._num_lines:
            parts.append(f"at {self._cursor + 1:,}")
        if self.has_focus:
            parts.append("Enter opens, f level, t text, a seen")
        self._tell(", ".join(parts))

    def _move_to(self, index: int) -> None:
        super()._move_to(index)
        self._note_highlighted()

    def _line_at_cursor(self) -> str | None:
        if self._lines is None or not self._num_lines:
            return None
        try:
            return self._lines.line(self._cursor)
        except IndexError:
            return None

    def _note_highlighted(self) -> None:
        line = self._line_at_cursor()
        if line != self._highlighted:
            self._highlighted = line
            self.post_message(self.Highlighted(None if line is None else row_of(line)))

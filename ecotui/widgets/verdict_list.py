"""Verdicts in groups, the worst first, with a cursor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ecotui.text import counted, visible
from ecotui.widgets.finding_rows import (
    CheckRow,
    FileRow,
    FindingRow,
    Heading,
    PicturesRow,
    PlanRow,
    Row,
)
from ecotui.widgets.marks import SET_ASIDE, VERDICTS
from ecotui.widgets.seen import Seen

_MAX_WORDS = 400
_MOVES = frozenset({"up", "down", "home", "end", "pageup", "pagedown"})


class VerdictList(OptionList):
    """Rows of findings; what stands under the cursor is shown beside it.

    The cursor stays on the worst finding until a person moves it.
    """

    DEFAULT_CSS = """
    VerdictList { border: none; padding: 0; background: $background; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis; overflow-x: hidden; }
    VerdictList > .option-list--option { padding: 0; }
    VerdictList > .option-list--option-disabled { color: $text-primary; text-style: bold; }
    VerdictList > .option-list--option-highlighted { text-style: bold; }
    /* Marks keep their colours under the cursor, so its own must be a quiet one. */
    VerdictList:focus > .option-list--option-highlighted { background: $primary-muted;
        color: $foreground; text-style: bold; }
    """

    @dataclass
    class Pointed(Message):
        """Another row is under the cursor, or the row says something else now.

        Attributes:
            row: That row; None where there is none.
        """

        row: Row | None

    @dataclass
    class Opened(Message):
        """Enter was pressed on a row."""

        row: Row

    def __init__(self, title: str, empty: str) -> None:
        super().__init__(markup=False)
        self._empty = empty
        self._rows: tuple[Row, ...] = ()
        self._is_touched = False
        self._seen = Seen()
        self.border_title = title
        self._write((), frozenset())

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        at = self.highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    def show(self, rows: Sequence[Row], left_out: Collection[str] = frozenset()) -> None:
        """Show rows; the cursor stays on the one that it is on.

        Args:
            rows: In order.
            left_out: Photos that are left out by now, as shown.
        """
        if not self._seen.are_new(*(part for row in rows for part in _parts(row)), left_out):
            return
        before = self.row
        kept = before.id if before is not None and self._is_touched else ""
        with self.prevent(OptionList.OptionHighlighted):
            self._write(tuple(rows), left_out)
            ids = [row.id for row in self._rows]
            first = next((at for at, row in enumerate(rows) if not isinstance(row, Heading)), None)
            self.highlighted = ids.index(kept) if kept in ids else first
            if not self._is_touched:
                self.scroll_home(animate=False)
        self.post_message(self.Pointed(self.row))

    def go_to(self, row_id: str) -> None:
        """Put the cursor on a row."""
        ids = [row.id for row in self._rows]
        if row_id in ids:
            self._is_touched = True
            self.highlighted = ids.index(row_id)

    def start_anew(self) -> None:
        """Have the cursor go to the worst finding again: something else is shown."""
        self._is_touched = False
        self._seen.forget()

    def copy_text(self) -> str:
        """Return every row."""
        return "\n".join(row_words(row).plain for row in self._rows)

    def _write(self, rows: tuple[Row, ...], left_out: Collection[str]) -> None:
        self._rows = rows
        self.clear_options()
        if rows:
            self.add_options([_option(row, left_out) for row in rows])
        else:
            words = Content.styled(self._empty, "$foreground-muted not bold")
            self.add_options([Option(words, disabled=True)])

    def on_key(self, event: events.Key) -> None:
        """Note that a person has taken the cursor."""
        if event.key in _MOVES:
            self._is_touched = True

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say which row is under the cursor now."""
        event.stop()
        self.post_message(self.Pointed(self.row))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Say that a row is to be opened."""
        event.stop()
        self._is_touched = True
        if self.row is not None:
            self.post_message(self.Opened(self.row))


def row_words(row: Row, left_out: Collection[str] = frozenset()) -> Content:
    """Return what a row says: mark, word and what was seen."""
    match row:
        case Heading():
            return Content(row.words)
        case CheckRow(check=check):
            mark = VERDICTS[check.verdict].before(f"{check.verdict:4}")
            return Content.assemble(mark, f"  {visible(check.what, limit=_MAX_WORDS)}")
        case FindingRow(finding=finding):
            mark = VERDICTS[finding.verdict].before(f"{finding.verdict:4}")
            what = visible(finding.what, limit=_MAX_WORDS)
            return Content.assemble(mark, "  ", _told_left_out(row, left_out), what)
        case FileRow(example=example):
            name = visible(example.path or example.label, limit=_MAX_WORDS)
            beside = f" = {visible(example.other, limit=_MAX_WORDS)}" if example.other else ""
            if example.path in left_out:
                return Content.assemble("    ", SET_ASIDE.before("left out"), f"  {name}{beside}")
            return Content(f"    · kept      {name}{beside}")
        case PicturesRow():
            splits = {"train": "training", "val": "validation"}
            told = f"{counted(len(row.previews), 'photo')} as {splits[row.subject]} will see them"
            return Content(f"■ {told}")
        case PlanRow(plan=plan):
            better = ", with settings that would suit it better" if plan.settings else ""
            return Content(f"■ the plan: memory, speed, time and disk{better}")


def _told_left_out(row: FindingRow, left_out: Collection[str]) -> Content:
    count = sum(each.path in left_out for each in row.finding.examples if each.path)
    return SET_ASIDE.before(f"{count} left out  ") if count else Content("")


def _option(row: Row, left_out: Collection[str]) -> Option:
    return Option(row_words(row, left_out), disabled=isinstance(row, Heading))


def _parts(row: Row) -> tuple[object, ...]:
    """Return what tells whether a row is the same as before."""
    match row:
        case Heading():
            return row.id, row.words
        case CheckRow():
            return row.id, row.check
        case FindingRow() | FileRow():
            return row.id, row.finding
        case PicturesRow():
            return row.id, len(row.previews)
        case PlanRow():
            return row.id, row.plan

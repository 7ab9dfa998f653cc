"""The runs there are, as a table that fits the terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from ecotui.paths import RunDir
from ecotui.text import number, percent, visible

if TYPE_CHECKING:
    from ecotui.runs_table import RunRow

HEADS = ("", "run", "state", "model", "data", "best", "age")
MARK = "●"
_FIXED = {"": 1, "state": 10, "best": 7, "age": 6}
_SHARES = {"run": 0.5, "model": 0.28, "data": 0.22}
"""Of the room that the columns of known width leave."""
_CELL_PADDING = 2
_STAMPED = re.compile(r"(.+)-\d{8}-\d{6}-([0-9a-f]{4})")
"""A run's name as `paths.new_run_id` makes it: what it is called by, when, and four letters."""


class RunTable(DataTable[Text]):
    """One run a line; the living ones first, and a mark before those chosen for something.

    Its columns have widths of their own, counted from the room there is: a table that measures
    its cells does so some time after they are there, and until then shows them cut.
    """

    HELP = """
    Runs in the runs directory: those under way first, then the newest. Enter shows one; space
    marks it, and c compares the marked ones. A run that has ended can go on (r), be played
    again (p) or be removed (d).
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row")
        self.border_title = "Runs"
        self.marked: set[str] = set()
        self._rows: tuple[RunRow, ...] = ()
        self._cells: list[tuple[str, ...]] = []
        self._widths: tuple[int, ...] = ()

    @property
    def rows_shown(self) -> tuple[RunRow, ...]:
        """The runs, in the order shown."""
        return self._rows

    @property
    def row_under_cursor(self) -> RunRow | None:
        """The run that the cursor is on; None where there are none."""
        at = self.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    @property
    def chosen(self) -> tuple[RunDir, ...]:
        """The marked runs, or else the one under the cursor."""
        marked = [row for row in self._rows if row.path in self.marked]
        under = self.row_under_cursor
        return tuple(map(run_of, marked or ([] if under is None else [under])))

    def show(self, rows: Sequence[RunRow]) -> None:
        """Show these runs; the cursor stays on the one it is on."""
        under = self.row_under_cursor
        self._rows = tuple(rows)
        self.marked &= {row.path for row in rows}
        self._draw()
        paths = [row.path for row in rows]
        if under is not None and under.path in paths:
            self.move_cursor(row=paths.index(under.path), animate=False)

    def clear_marks(self) -> None:
        """Take every mark away: what they were set for is done."""
        self.marked.clear()
        self._draw()

    def turn_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go to the next."""
        row = self.row_under_cursor
        if row is not None:
            self.marked ^= {row.path}
            self._draw()
            self.action_cursor_down()

    def go_to(self, path: str) -> None:
        """Put the cursor on a run."""
        paths = [row.path for row in self._rows]
        if path in paths:
            self.move_cursor(row=paths.index(path), animate=False)

    def on_resize(self) -> None:
        """Use the room there is now."""
        self._draw()

    def copy_text(self) -> str:
        """Return every run with its whole name."""
        lines = [HEADS, *(_cells(row, row.path in self.marked, None) for row in self._rows)]
        return "\n".join("\t".join(line) for line in lines)

    def _draw(self) -> None:
        room = self.scrollable_content_region.width or self.size.width
        if not room:
            return
        widths = widths_for(room)
        name_cells = widths[HEADS.index("run")]
        cells = [_cells(row, row.path in self.marked, name_cells) for row in self._rows]
        if widths != self._widths or len(cells) != len(self._cells):
            self._lay_out(widths, cells)
        else:
            self._update(cells)
        self._cells = cells

    def _lay_out(self, widths: tuple[int, ...], cells: Iterable[tuple[str, ...]]) -> None:
        at, self._widths = self.cursor_row, widths
        self.clear(columns=True)
        for head, width in zip(HEADS, widths, strict=True):
            self.add_column(Text(head), width=width)
        for line in cells:
            self.add_row(*map(_cell, line))
        self.move_cursor(row=at, animate=False)

    def _update(self, cells: Sequence[tuple[str, ...]]) -> None:
        for row, (before, now) in enumerate(zip(self._cells, cells, strict=True)):
            for column, (old, new) in enumerate(zip(before, now, strict=True)):
                if old != new:
                    self.update_cell_at(Coordinate(row, column), _cell(new))


def run_of(row: RunRow) -> RunDir:
    """Return the directory of a run shown."""
    from pathlib import Path

    return RunDir(Path(row.path))


def widths_for(room: int) -> tuple[int, ...]:
    """Return the width of each column for so many cells."""
    left = room - len(HEADS) * _CELL_PADDING - sum(_FIXED.values())
    shared = {head: max(len(head), int(left * share)) for head, share in _SHARES.items()}
    return tuple((_FIXED | shared)[head] for head in HEADS)


def short_name(run: str, cells: int) -> str:
    """Return a run's name in so many cells: without its date and time where it is longer.

    The four letters at its end stay: they tell runs of one config apart.
    """
    stamped = _STAMPED.fullmatch(run)
    if len(run) <= cells or stamped is None:
        return run
    room = max(1, cells - len(stamped[2]) - 1)
    return f"{stamped[1][:room]}…{stamped[2]}"


def age_words(seconds: float) -> str:
    """Return how long ago something was, in a word or two."""
    minutes = max(0.0, seconds) / 60
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{int(minutes)} min"
    if minutes < 48 * 60:
        return f"{int(minutes / 60)} h"
    return f"{int(minutes / 60 / 24)} d"


def _cells(row: RunRow, is_marked: bool, name_cells: int | None) -> tuple[str, ...]:
    best = "-"
    if row.best is not None:
        is_share = row.metric in ("accuracy", "macro_f1")
        best = percent(row.best) if is_share else number(row.best)
    name = visible(row.run)
    return (
        MARK if is_marked else "",
        name if name_cells is None else short_name(name, name_cells),
        f"{_symbol(row.state)} {row.state}",
        visible(row.model, limit=80) or "-",
        visible(row.data, limit=80) or "-",
        best,
        age_words(time.time() - row.created_at),
    )


def _symbol(state: str) -> str:
    from ecotui.widgets.marks import PAUSED, PHASES

    found = {str(phase): mark.symbol for phase, mark in PHASES.items()}
    return PAUSED.symbol if state == "paused" else found.get(state, "·")


def _cell(words: str) -> Text:
    return Text(words, overflow="ellipsis", no_wrap=True)

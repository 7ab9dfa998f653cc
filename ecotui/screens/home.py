"""Where to begin: the shipped configs, and the runs there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.widgets import DataTable, Static

from ecotui.actions.home import HOME
from ecotui.errors import EcoError
from ecotui.paths import RunDir, list_runs, shipped_configs
from ecotui.screens.frame import EcoScreen
from ecotui.screens.messages import ConfigChoice, RunChoice
from ecotui.text import visible
from ecotui.widgets.panel import bindings_of

if TYPE_CHECKING:
    from ecotui.runs_table import RunRow

MAX_RUNS = 100
"""The newest runs shown; `ecotui runs` lists them all."""
REFRESH_SECONDS = 5.0
SECONDS_TO_BE_SEEN = 0.1


class HomeScreen(EcoScreen):
    """Shipped configs to start, and runs to come back to."""

    NAME = "home"
    HEADING = "Home"
    CSS_PATH = "home.tcss"
    BINDINGS = bindings_of(HOME)

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[str, ...]] = []
        self._is_looking = False

    def compose_body(self) -> ComposeResult:
        """Lay out both lists."""
        yield Static(
            "ecotui: choose a config to train, or a run to watch; Enter opens",
            id="head",
            markup=False,
        )
        configs: DataTable[Text] = DataTable(id="configs", cursor_type="row")
        configs.border_title = "Shipped configs"
        yield configs
        runs: DataTable[Text] = DataTable(id="runs", cursor_type="row")
        runs.border_title = "Runs"
        yield runs

    def on_mount(self) -> None:
        """Fill the list of configs, and look for runs now and every few seconds."""
        super().on_mount()
        configs = self.query_one("#configs", DataTable)
        configs.add_columns("config", "trains")
        for name, path in shipped_configs().items():
            configs.add_row(Text(visible(name)), Text(_first_remark(path)), key=name)
        configs.focus()
        self.set_interval(REFRESH_SECONDS, self.look_for_runs)

    def on_screen_resume(self) -> None:
        """Look for runs whenever the screen comes into view."""
        super().on_screen_resume()
        # Once what there is already is drawn: reading logs takes its time.
        self.set_timer(SECONDS_TO_BE_SEEN, self.look_for_runs)

    @work(group="runs", exit_on_error=False)
    async def look_for_runs(self) -> None:
        """Read where the runs stand, off the event loop, and show it."""
        if self._is_looking or not self.is_current:
            return
        self._is_looking = True
        try:
            rows = await asyncio.to_thread(_scan, self.host.runs_dir)
        finally:
            self._is_looking = False
        self._add_columns()
        self.call_after_refresh(self._show, rows)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Say what was chosen."""
        event.stop()
        key = event.row_key.value or ""
        if event.data_table.id == "configs":
            self.post_message(ConfigChoice(key))
        else:
            self.post_message(RunChoice(RunDir(Path(key))))

    def _add_columns(self) -> None:
        """Lay out the columns, once; before any row, for rows make room in columns there are."""
        from ecotui.runs_table import HEADINGS

        table = self.query_one("#runs", DataTable)
        if not table.columns:
            table.add_columns(*(head.lower() for head in HEADINGS))

    def _show(self, rows: Sequence[RunRow]) -> None:
        from ecotui.runs_table import row_cells

        table = self.query_one("#runs", DataTable)
        cells = [(row.path, *row_cells(row)) for row in rows]
        table.border_subtitle = visible(self.host.runs_dir) if rows else "none yet"
        if cells == self._shown:
            return
        self._shown = cells
        at = table.cursor_row
        table.clear()
        for path, *words in cells:
            table.add_row(*(Text(word) for word in words), key=path)
        table.move_cursor(row=at)


def _scan(runs_dir: Path) -> list[RunRow]:
    # In a thread, once the first frame is drawn: reading logs brings every event along.
    from ecotui.runs_table import row_of

    try:
        return [row_of(run) for run in list_runs(runs_dir)[:MAX_RUNS]]
    except (EcoError, OSError):  # Deleted at this very moment, or unreadable: shown next time.
        return []


def _first_remark(path: Path) -> str:
    """Return the first sentence of the remark that a config opens with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    remark = " ".join(line.lstrip("# ") for line in takewhile(lambda each: each[:1] == "#", lines))
    return visible(remark.partition(". ")[0].rstrip("."), limit=100)

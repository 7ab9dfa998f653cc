"""Where to begin: configs to train, and the runs there are, those under way first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import DataTable, Static

from ecotui.actions.home import HOME
from ecotui.paths import RunDir, list_runs, shipped_configs
from ecotui.screens.frame import EcoScreen
from ecotui.screens.home_runs import RunTable, run_of
from ecotui.screens.messages import ConfigChoice, Deletion, ReplayChoice, Resumption, RunChoice
from ecotui.screens.messages import Visit as Visiting
from ecotui.text import counted, visible
from ecotui.widgets.panel import bindings_of

if TYPE_CHECKING:
    from pathlib import Path

    from ecotui.config_draft import Draft
    from ecotui.kept_starts import KeptStart
    from ecotui.own_configs import OwnConfig
    from ecotui.runs_table import Rows, RunRow

MAX_RUNS = 100
"""The newest runs shown; `ecotui runs` lists them all."""
REFRESH_SECONDS = 5.0
SECONDS_TO_BE_SEEN = 0.1
DEMO = "digits"
WELCOME = (
    "Nothing has been trained here yet. Enter trains the demo: real handwritten digits, about "
    "two minutes. n trains on a folder of your own photos."
)
CHOOSE = "Enter trains a config or opens a run, n trains on a folder of photos"


class HomeScreen(EcoScreen):
    """Configs to start, and runs to come back to."""

    NAME = "home"
    HEADING = "Home"
    CSS_PATH = "home.tcss"
    BINDINGS = bindings_of(HOME)
    HELP = """
    Above are configs: those that come with ecotui, and your own (TOML files in this folder).
    Enter trains the one under the cursor, e changes its settings first. Below are the runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: list[OwnConfig] = []
        self._is_looking = False
        self._rows: Rows | None = None
        self._has_been_used = False

    def compose_body(self) -> ComposeResult:
        """Lay out both lists."""
        yield Static(CHOOSE, id="head", markup=False)
        configs: DataTable[Text] = DataTable(id="configs", cursor_type="row")
        configs.border_title = "Configs"
        yield configs
        yield RunTable(id="runs")

    def on_mount(self) -> None:
        """Fill the list of configs, and look for runs now and every few seconds."""
        super().on_mount()
        self._list_configs()
        self.query_one("#configs", DataTable).focus()
        self.set_interval(REFRESH_SECONDS, self.look_for_runs)

    def on_screen_resume(self) -> None:
        """Look for runs whenever the screen comes into view."""
        super().on_screen_resume()
        self._has_been_used = False
        # Once what there is already is drawn: reading logs takes its time.
        self.set_timer(SECONDS_TO_BE_SEEN, self.look_for_runs)

    def on_key(self, event: events.Key) -> None:
        """Leave the cursor alone from now on: a person has begun to move it."""
        del event
        self._has_been_used = True

    # What there is --------------------------------------------------------------------------------

    @work(group="runs", exit_on_error=False)
    async def look_for_runs(self) -> None:
        """Read where the runs stand, off the event loop, and show it."""
        if self._is_looking or not self.is_current:
            return
        self._is_looking = True
        try:
            rows, own = await asyncio.to_thread(self._scan)
        finally:
            self._is_looking = False
        self._show(rows, own)

    def _scan(self) -> tuple[list[RunRow], list[OwnConfig]]:
        # In a thread, once the first frame is drawn: reading logs brings every event along.
        from ecotui.errors import EcoError
        from ecotui.own_configs import own_configs
        from ecotui.runs_table import Rows

        if self._rows is None:
            self._rows = Rows()
        try:
            own = own_configs()
        except OSError:  # The working directory is gone.
            own = []
        try:
            return self._rows.of(list_runs(self.host.runs_dir)[:MAX_RUNS]), own
        except EcoError:  # The runs directory cannot be read: shown once it can.
            return [], own

    def _show(self, rows: Sequence[RunRow], own: list[OwnConfig]) -> None:
        if own != self._own:
            self._own = own
            self._list_configs()
        table = self.query_one("#runs", RunTable)
        table.show(rows)
        table.border_subtitle = visible(self.host.runs_dir) if rows else "none yet"
        living = [row for row in rows if row.is_alive]
        told = _head(rows, living, self.host.kept_starts.last_failed)
        self.query_one("#head", Static).update(told)
        if living and not self._has_been_used:
            self._has_been_used = True
            table.go_to(living[0].path)
            table.focus()

    def _list_configs(self) -> None:
        table = self.query_one("#configs", DataTable)
        at = max(0, table.cursor_row)
        if not table.columns:
            table.add_column(Text("config"), width=16)
            table.add_column(Text("trains"))
        table.clear()
        for name, path in shipped_configs().items():
            table.add_row(_cell(name), _cell(_remark(path)), key=name)
        for config in self._own:
            key = str(config.path)
            table.add_row(_cell(config.path.stem), _cell(f"yours: {config.about}"), key=key)
        table.move_cursor(row=at, animate=False)

    # What can be done -----------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Train the config, or show the run, that was chosen."""
        event.stop()
        if event.data_table.id == "configs":
            self._choose_config(event.row_key.value or "")
            return
        row = self.query_one("#runs", RunTable).row_under_cursor
        if row is not None:
            self.post_message(RunChoice(run_of(row), first_screen(row)))

    def _choose_config(self, reference: str) -> None:
        """Train a config; where it names no photos, ask for them, and show its settings then."""
        import json

        from ecotui.config_draft import Draft
        from ecotui.errors import EcoError
        from ecotui.screens.home_folder import FolderScreen

        def take(folder: Path | None) -> None:
            if folder is not None:
                self._edit(draft.edited("data.root", json.dumps(str(folder))))

        try:
            draft = Draft.of(reference)
            has_photos = bool(draft.config.data.root)
        except EcoError:  # which is told where it is loaded
            has_photos = True
        if has_photos or self.host.situation.is_readonly:
            self.post_message(ConfigChoice(reference))
        else:
            self.app.push_screen(FolderScreen(), take)

    def action_new_run(self) -> None:
        """Ask for a folder of photos, show what is in it, and train on it."""
        from ecotui.screens.home_folder import FolderScreen

        failed = self.host.kept_starts.last_failed
        start = None if failed is None else failed.folder
        self.app.push_screen(FolderScreen(start), self._take_folder)

    def _take_folder(self, folder: Path | None) -> None:
        from ecotui.screens.home_start import StartScreen

        if folder is not None:
            self.app.push_screen(StartScreen(folder), self._take_draft)

    def _take_draft(self, draft: Draft | None) -> None:
        if draft is not None:
            self._edit(draft)

    def action_edit_config(self) -> None:
        """Show the settings of what the cursor is on, to be changed."""
        from ecotui.config_draft import Draft
        from ecotui.errors import EcoError

        table = self.query_one("#configs", DataTable)
        runs = self.query_one("#runs", RunTable)
        try:
            if runs.has_focus and runs.row_under_cursor is not None:
                self._edit(Draft.of_run(run_of(runs.row_under_cursor)))
            elif table.row_count:
                key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key
                self._edit(Draft.of(key.value or ""))
        except EcoError as error:
            self._tell("\n".join(map(visible, error.lines())), is_wrong=True)

    def _edit(self, draft: Draft) -> None:
        from ecotui.screens.config import ConfigScreen

        self.app.push_screen(ConfigScreen(draft))

    def action_mark_run(self) -> None:
        """Mark the run under the cursor."""
        if self._run_table() is not None:
            self.query_one("#runs", RunTable).turn_mark()

    def action_compare_runs(self) -> None:
        """Show the marked runs side by side; without marks, the two newest that began."""
        table = self.query_one("#runs", RunTable)
        runs = [run_of(row) for row in table.rows_shown if row.path in table.marked]
        if not runs:
            runs = [run_of(row) for row in table.rows_shown if row.epochs][:2]
        if len(runs) < 2:
            self._tell("two runs make a comparison: space marks one")
        else:
            table.clear_marks()
            self.post_message(Visiting("compare", runs))

    def action_resume_run(self) -> None:
        """Go on with the run under the cursor."""
        table = self._run_table()
        if table is not None and table.row_under_cursor is not None:
            self.post_message(Resumption(run_of(table.row_under_cursor)))

    def action_replay_run(self) -> None:
        """Play the log of the run under the cursor again."""
        table = self._run_table()
        if table is not None and table.row_under_cursor is not None:
            self.post_message(ReplayChoice(run_of(table.row_under_cursor)))

    def action_delete_runs(self) -> None:
        """Remove the marked runs, or the one under the cursor; the app asks first."""
        table = self._run_table()
        if table is not None:
            runs: tuple[RunDir, ...] = table.chosen
            self.post_message(Deletion(runs))

    def _run_table(self) -> RunTable | None:
        """Return the table of runs where the cursor is on one; say what to do where it is not."""
        table = self.query_one("#runs", RunTable)
        if not table.rows_shown:
            self._tell("there are no runs yet: Enter trains the config under the cursor")
            return None
        if not table.has_focus:
            self._tell("no run is under the cursor: Tab goes to the runs")
            return None
        return table

    def _tell(self, words: str, *, is_wrong: bool = False) -> None:
        self.app.notify(words, severity="error" if is_wrong else "warning", markup=False)


def first_screen(row: RunRow) -> str:
    """Return where a run is best looked at: what it reached, once it has ended with something."""
    has_results = not row.is_alive and row.best is not None and row.state != "lost"
    return "results" if has_results else ""


def _head(
    rows: Sequence[RunRow], living: Sequence[RunRow], failed: KeptStart | None = None
) -> Content:
    if failed is not None:
        name = visible(failed.folder.name, limit=40)
        why = visible(failed.fault[0].removeprefix("error: "), limit=200)
        head = Content.styled(f"✗ {name} could not be trained: {why}", "$text-error")
        then = Content(f"n opens it again, your settings kept. {CHOOSE}")
        return Content("\n").join([head, then])
    if not rows:
        return Content(WELCOME)
    if living:
        return Content(f"{counted(len(living), 'run')} under way. {CHOOSE}")
    return Content(CHOOSE)


def _remark(path: Path) -> str:
    from ecotui.own_configs import first_remark

    return first_remark(path.read_text(encoding="utf-8"))


def _cell(words: str) -> Text:
    return Text(visible(words, limit=200), overflow="ellipsis", no_wrap=True)

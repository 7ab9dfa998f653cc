"""Runs side by side: curves over one another, final figures, and the settings that differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import DataTable, Static

from ecotui.actions.compare import COMPARE
from ecotui.comparison import (
    MAX_RUNS,
    ComparedRun,
    Row,
    curve_of,
    figure_rows,
    read_run,
    setting_rows,
    told_of,
)
from ecotui.paths import RunDir
from ecotui.run_state import RunState
from ecotui.screens.frame import EcoScreen
from ecotui.screens.home_runs import short_name
from ecotui.screens.messages import Visit
from ecotui.text import visible
from ecotui.widgets.marks import BEST
from ecotui.widgets.overlay_chart import Curve, OverlayChart, symbol
from ecotui.widgets.panel import bindings_of

REFRESH_SECONDS = 5.0
FIGURES = (
    ("Validation accuracy", "val_accuracy", True),
    ("Macro F1", "macro_f1", True),
    ("Validation loss", "val_loss", False),
)
"""Title, the series of the state, and whether it is a share."""
_NAME_CELLS = 24


class CompareScreen(EcoScreen):
    """Two runs or more; those under way are read again every few seconds."""

    NAME = "compare"
    HEADING = "Compare"
    CSS_PATH = "compare.tcss"
    BINDINGS = bindings_of(COMPARE)
    HELP = """
    The curves of the runs chosen at home, one over the other; f draws the next figure. Below
    stand their final figures, the best of each with a star, and the settings in which they
    differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self._figure = 0
        self._runs: tuple[ComparedRun, ...] = ()
        self._visited: tuple[RunDir, ...] = ()

    def compose_body(self) -> ComposeResult:
        """Lay out the chart and both tables."""
        yield Static("Compare", id="head", markup=False)
        with Container(id="body"):
            yield OverlayChart(id="curves")
            with Container(id="tables"):
                yield _table("figures", "Final figures")
                yield _table("settings", "Settings that differ")

    def on_mount(self) -> None:
        """Read the runs now and every few seconds."""
        super().on_mount()
        self.query_one("#curves").focus()
        self.set_interval(REFRESH_SECONDS, self.read_runs)

    def on_screen_resume(self) -> None:
        """Read the runs that the screen was visited for."""
        super().on_screen_resume()
        self.read_runs()

    def show(self, state: RunState) -> None:
        """Show nothing of the run followed."""

    @work(group="runs", exclusive=True, exit_on_error=False)
    async def read_runs(self) -> None:
        """Read the runs, off the event loop, and show them."""
        if not self.is_current:
            return
        chosen = self.host.visited[:MAX_RUNS]
        found = await asyncio.to_thread(lambda: tuple(map(read_run, chosen)))
        if found != self._runs or self._visited != chosen:
            self._runs, self._visited = found, chosen
            self._show()

    def _show(self) -> None:
        title, _, _ = FIGURES[self._figure]
        told = f"Compare  {len(self._runs)} runs, {told_of(self._runs)}  {title} (f: next)"
        self.query_one("#head", Static).update(Text(told))
        self._draw_curves()
        _fill(self.query_one("#figures", DataTable), self._runs, figure_rows(self._runs))
        rows = setting_rows(self._runs) or [Row("all the same", ("",) * len(self._runs))]
        _fill(self.query_one("#settings", DataTable), self._runs, rows)

    def _draw_curves(self) -> None:
        title, series, is_share = FIGURES[self._figure]
        curves = [
            Curve(run.run.run_id, curve_of(run, getattr(run.state, series))) for run in self._runs
        ]
        chart = self.query_one("#curves", OverlayChart)
        chart.styles.min_height = len(curves) + 8
        chart.show(title, curves, is_share=is_share)

    def action_next_figure(self) -> None:
        """Draw the next figure."""
        self._figure = (self._figure + 1) % len(FIGURES)
        self._show()

    def action_go_back(self) -> None:
        """Go back to where the comparison was asked for."""
        if self.maximized is not None:
            self.minimize()
        else:
            self.post_message(Visit("results" if self.host.situation.has_run else "home"))


def _table(id: str, title: str) -> DataTable[Text]:  # noqa: A002
    table: DataTable[Text] = DataTable(id=id, cursor_type="row", fixed_columns=1, classes="panel")
    table.border_title = title
    return table


def _fill(table: DataTable[Text], runs: Sequence[ComparedRun], rows: Sequence[Row]) -> None:
    at = table.cursor_row
    table.clear(columns=True)
    names = [f"{symbol(place)} {_name(run)}" for place, run in enumerate(runs)]
    cells = [[row.name, *(_value(row, place) for place in range(len(runs)))] for row in rows]
    heads = ["", *names]
    for column, head in enumerate(heads):
        widest = max(Text(line[column]).cell_len for line in [heads, *cells])
        table.add_column(Text(head), width=min(widest, _NAME_CELLS + 2))
    for line in cells:
        table.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in line))
    table.move_cursor(row=at, animate=False)


def _value(row: Row, place: int) -> str:
    is_best = place in row.best
    return f"{BEST.symbol} {row.values[place]}" if is_best else row.values[place]


def _name(run: ComparedRun) -> str:
    return short_name(visible(run.run.run_id), _NAME_CELLS)

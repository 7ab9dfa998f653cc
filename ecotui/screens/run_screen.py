"""What the three screens of a run have in common."""

from __future__ import annotations

from textual.app import ComposeResult

from ecotui.paths import RunDir
from ecotui.screens.fitting import fitting_screen
from ecotui.screens.frame import EcoScreen
from ecotui.state import RunState
from ecotui.summary import summary_on_a_page
from ecotui.widgets.status_line import StatusLine
from ecotui.widgets.summary_panel import SummaryPanel

TO_RESULTS = "screen 4: its mistakes, classes and export"


class RunScreen(EcoScreen):
    """A screen that shows the run, below a line of status."""

    def compose_body(self) -> ComposeResult:
        """Lay out the status and what the screen is for."""
        yield StatusLine(self.HEADING)
        yield from self.compose_run()

    def compose_run(self) -> ComposeResult:
        """Lay out what the screen is for, with a `SummaryPanel` for the end of the run."""
        raise NotImplementedError

    def show_run(self, state: RunState) -> None:
        """Hand every widget its part of the state; as `EcoScreen.show`."""
        raise NotImplementedError

    def show(self, state: RunState) -> None:
        """Show the status, the end of the run, and the rest."""
        host = self.host
        line = self.query_one(StatusLine)
        line.show(state, host.pending, is_readonly=host.situation.is_readonly)
        self.query_one(SummaryPanel).show(self._summary(state, host.run_dir))
        self.show_run(state)

    def _summary(self, state: RunState, run: RunDir | None) -> tuple[str, ...]:
        has_ended_here = state.ending is not None and fitting_screen(state) == self.NAME
        self.set_class(has_ended_here, "-ended")
        if run is None or not has_ended_here:
            return ()
        first, *rest = summary_on_a_page(state, run)
        return (first, *([TO_RESULTS] if state.validation is not None else []), *rest)

"""What the three screens of a run have in common, and which of them fits a state."""

from __future__ import annotations

from typing import Literal, Protocol, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from ecotui.events import Layer
from ecotui.paths import RunDir
from ecotui.state import RunState
from ecotui.summary import summary_lines
from ecotui.widgets.status_line import StatusLine
from ecotui.widgets.summary_panel import SummaryPanel

ScreenName = Literal["diagnostic", "preflight", "training"]


class ShowsARun(Protocol):
    """What a screen reads of the app."""

    run_state: RunState
    pending: str
    """What was asked of the engine and is not done yet, in words."""

    @property
    def run_dir(self) -> RunDir | None:
        """The directory of the run shown."""


def fitting_screen(state: RunState) -> ScreenName:
    """Return the screen of the latest stage that this attempt has come to."""
    if _has_begun(state, 5, 6, 7):
        return "training"
    if _has_begun(state, 2, 3):
        return "preflight"
    return "diagnostic"


class RunScreen(Screen[None]):
    """A screen that shows the run, between a line of status and the keys."""

    NAME: ScreenName
    HEADING: str

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        """Lay out the status, what the screen is for, the end of the run, and the keys."""
        yield StatusLine(self.HEADING)
        yield from self.compose_run()
        yield Footer(show_command_palette=False)

    def compose_run(self) -> ComposeResult:
        """Lay out what the screen is for."""
        raise NotImplementedError

    def show(self, state: RunState) -> None:
        """Hand every widget its part of the state."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Follow the app's state, and have it shown once."""
        self.watch(self.app, "run_state", self._follow, init=False)
        self.watch(self.app, "pending", self._follow, init=False)

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self._follow()

    def _follow(self) -> None:
        if self not in self.app.screen_stack:  # Out of sight: shown when it comes back.
            return
        shown = cast(ShowsARun, self.app)
        state = shown.run_state
        self.query_one(StatusLine).show(state, shown.pending)
        self.query_one(SummaryPanel).show(self._summary(state, shown.run_dir))
        self.show(state)

    def _summary(self, state: RunState, run: RunDir | None) -> tuple[str, ...]:
        has_ended_here = state.ending is not None and fitting_screen(state) == self.NAME
        self.set_class(has_ended_here, "-ended")
        if run is None or not has_ended_here:
            return ()
        return tuple(summary_lines(state, run))


def _has_begun(state: RunState, *numbers: Layer) -> bool:
    return any(layer.layer in numbers and layer.status != "idle" for layer in state.layers)

"""What is seen while a run is looked for: its name, before anything of it is read."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from ecotui.screens.frame import EcoScreen


class OpeningScreen(EcoScreen):
    """The first frame where a run is opened; its own screens take its place at the first batch.

    It waits for nothing: what events are takes longer to import than a frame takes to draw.
    """

    NAME = "opening"
    HEADING = "Opening"
    DEFAULT_CSS = "OpeningScreen Static { padding: 0 1; }"
    HELP = "The run is being opened: its log is read from the beginning."

    def compose_body(self) -> ComposeResult:
        """Say what is being done."""
        yield Static("opening the run ...", markup=False)

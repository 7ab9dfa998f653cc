"""Transforms, first batch and model, before training: layers 2 and 3."""

from __future__ import annotations

from textual.app import ComposeResult

from ecotui.actions.preflight import PREFLIGHT
from ecotui.screens.run_screen import RunScreen
from ecotui.state import RunState
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.stage_bars import StageBar
from ecotui.widgets.summary_panel import SummaryPanel
from ecotui.widgets.verdict_list import VerdictList


class PreflightScreen(RunScreen):
    """Verdicts on the data set, the transforms and the first batch."""

    NAME = "preflight"
    HEADING = "2 Preflight"
    CSS_PATH = "preflight.tcss"
    BINDINGS = bindings_of(PREFLIGHT)

    def compose_run(self) -> ComposeResult:
        """Lay out the progress, the verdicts, the end and the layers."""
        yield StageBar()
        yield VerdictList("Data, transforms and model", "nothing has been checked yet")
        yield SummaryPanel()
        yield GuardStrip()

    def show_run(self, state: RunState) -> None:
        """Show the checks of layers 2 and 3."""
        self.query_one(StageBar).show_stage(state)
        checks = tuple(check for check in state.checks if check.layer in (2, 3))
        self.query_one(VerdictList).show(checks)
        self.query_one(GuardStrip).show(state.layers)

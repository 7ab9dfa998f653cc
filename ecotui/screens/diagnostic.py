"""The environment, before anything else: layer 1."""

from __future__ import annotations

from textual.app import ComposeResult

from ecotui.actions.diagnostic import DIAGNOSTIC
from ecotui.screens.run_screen import RunScreen
from ecotui.state import RunState
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.stage_bars import StageBar
from ecotui.widgets.summary_panel import SummaryPanel
from ecotui.widgets.verdict_list import VerdictList


class DiagnosticScreen(RunScreen):
    """Verdicts on Python, packages, devices, memory and disk."""

    NAME = "diagnostic"
    HEADING = "1 Diagnostic"
    CSS_PATH = "diagnostic.tcss"
    BINDINGS = bindings_of(DIAGNOSTIC)

    def compose_run(self) -> ComposeResult:
        """Lay out the progress, the verdicts, the end and the layers."""
        yield StageBar()
        yield VerdictList("Environment", "the environment has not been looked at yet")
        yield SummaryPanel()
        yield GuardStrip()

    def show_run(self, state: RunState) -> None:
        """Show the checks of layer 1."""
        self.query_one(StageBar).show_stage(state)
        checks = tuple(check for check in state.checks if check.layer == 1)
        self.query_one(VerdictList).show(checks)
        self.query_one(GuardStrip).show(state.layers)

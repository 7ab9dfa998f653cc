"""The training: bars, charts, the seven layers, alerts, checkpoints and classes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll

from ecotui.actions.training import TRAINING
from ecotui.screens.run_screen import RunScreen
from ecotui.state import RunState
from ecotui.widgets.checkpoint_table import CheckpointTable
from ecotui.widgets.class_table import ClassTable
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.health_log import HealthLog
from ecotui.widgets.metric_chart import MetricChart
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.stage_bars import StageBars
from ecotui.widgets.summary_panel import SummaryPanel


class TrainingScreen(RunScreen):
    """What a person watches for hours: the most important on top, the rest below the fold."""

    NAME = "training"
    HEADING = "3 Training"
    CSS_PATH = "training.tcss"
    BINDINGS = bindings_of(TRAINING)

    def compose_run(self) -> ComposeResult:
        """Lay out the bars, and below them what scrolls where the terminal is small."""
        yield StageBars()
        with VerticalScroll(id="body", can_focus=False):
            yield SummaryPanel()
            with Horizontal(id="figures"):
                yield MetricChart("Loss", is_fraction=False)
                yield MetricChart("Accuracy", is_fraction=True)
                yield GuardStrip()
            yield HealthLog()
            with Container(id="tables"):
                yield CheckpointTable()
                yield ClassTable()

    def show_run(self, state: RunState) -> None:
        """Hand every widget its part."""
        self.query_one(StageBars).show(state)
        loss, accuracy = self.query(MetricChart)
        loss.show(state.train_loss, state.val_loss)
        accuracy.show(state.train_accuracy, state.val_accuracy)
        self.query_one(GuardStrip).show(state.layers)
        self.query_one(HealthLog).show(state)
        self.query_one(CheckpointTable).show(state)
        self.query_one(ClassTable).show(state.test or state.validation)

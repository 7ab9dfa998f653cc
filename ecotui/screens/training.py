"""The training: bars and figures on top, and below them tabs from an overview to the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from ecotui.actions.training import TABS, TRAINING
from ecotui.alert_lines import Acknowledged
from ecotui.paths import RunDir
from ecotui.screens.frame import MIN_ROWS
from ecotui.screens.run_screen import RunScreen
from ecotui.screens.training_files import confusion_of, sizes_of
from ecotui.screens.training_requests import TrainingRequests
from ecotui.seen_alerts import SeenAlerts
from ecotui.state import RunState
from ecotui.widgets.alert_detail import AlertDetail
from ecotui.widgets.alert_log import AlertLog
from ecotui.widgets.checkpoint_table import CheckpointTable
from ecotui.widgets.class_table import ClassTable
from ecotui.widgets.confusion_panel import ConfusionPanel
from ecotui.widgets.curves import Curves
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.health_panel import HealthPanel
from ecotui.widgets.key_figures import KeyFigures
from ecotui.widgets.later import Later
from ecotui.widgets.machine_panel import MachinePanel
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.seen import Seen
from ecotui.widgets.stage_bars import StageBars
from ecotui.widgets.summary_panel import SummaryPanel
from ecotui.widgets.tab_line import TabLine

LOOK_SECONDS = 2.0
"""Between two looks at which checkpoints are on the disk, while the table of them is in view."""


class TrainingScreen(TrainingRequests, RunScreen):
    """What a person watches for hours: the most important on one page, more in tabs."""

    NAME = "training"
    HEADING = "3 Training"
    CSS_PATH = "training.tcss"
    BINDINGS = bindings_of(TRAINING)
    HORIZONTAL_BREAKPOINTS = [*RunScreen.HORIZONTAL_BREAKPOINTS, (160, "-vast")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-low"),
        (MIN_ROWS, "-squat"),
        (22, "-short"),
        (34, "-tall"),
        (50, "-high"),
    ]
    HELP = """
The training. On top how far it is, how good, and how it fares; below it tabs: press the letter
that stands before a tab, or [ and ]. Tab goes from panel to panel, F1 tells about the one in
focus. In the strip of layers, the alerts and the checkpoints, Enter opens what the cursor is on.
"""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged = Acknowledged()
        self._acknowledged_of: RunDir | None = None
        self._files_seen = Seen()
        self._sizes: dict[str, int] | None = None

    def compose_run(self) -> ComposeResult:
        """Lay out what is always in view, and the tabs; hidden ones are made when first seen."""
        yield StageBars()
        yield KeyFigures()
        yield TabLine(TABS)
        with ContentSwitcher(initial="overview"):
            with Container(id="overview"):
                yield SummaryPanel()
                yield Curves(has_hint=False, id="glance")
                with Vertical(id="side"):
                    yield GuardStrip()
                    yield HealthPanel(has_scorecard=False, id="signs")
                yield AlertLog("Newest alerts", self.acknowledged, id="newest")
            yield self._later("charts", lambda: [Curves()])
            yield self._later("alerts", self._make_alerts)
            yield self._later("checkpoints", lambda: [CheckpointTable()])
            yield self._later("classes", _make_classes)
            yield self._later("machine", lambda: [MachinePanel()])
            yield self._later("health", lambda: [GuardStrip(), HealthPanel()])

    def _later(self, name: str, make: Callable[[], list[Widget]]) -> Later:
        return Later(make, self._files_seen.forget, id=name, classes="tab")

    def _make_alerts(self) -> list[Widget]:
        return [AlertLog("Alerts", self.acknowledged, id="every"), AlertDetail()]

    def on_mount(self) -> None:
        """Look at the disk now and then, while somebody looks at what lies there."""
        self.set_interval(LOOK_SECONDS, self._look_again)

    # Showing --------------------------------------------------------------------------------------

    def show_run(self, state: RunState) -> None:
        """Hand every widget in view its part."""
        self._recall_alerts()
        self.query_one(StageBars).show(state)
        self.query_one(KeyFigures).show(state)
        self._show_tabs()
        self._show_tab(state)
        self.tell_errand(self.host.errand)

    def _recall_alerts(self) -> None:
        """Know which alerts of this run were seen, in this start of the app or an earlier one."""
        run = self.host.run_dir
        if run is None or run == self._acknowledged_of:
            return
        self._acknowledged_of = run
        kept = SeenAlerts(run)
        self.acknowledged.begin(kept.lines(), kept.note)

    def _show_tabs(self) -> None:
        alerts = self.host.alerts
        count = len(alerts) + getattr(alerts, "num_dropped", 0)
        left = self.acknowledged.num_left(count)
        self.query_one(TabLine).show(self.tab, {"alerts": f"{left:,}" if left else ""})

    def _show_tab(self, state: RunState) -> None:
        """Show the state in the tab in view alone: hidden ones catch up when they are seen."""
        tab = self.query_one(f"#{self.tab}")
        for curves in tab.query(Curves):
            if curves.display:
                curves.show(state)
        for strip in tab.query(GuardStrip):
            strip.show(state.layers)
        for panel in tab.query(HealthPanel):
            if panel.display:
                panel.show(state)
        for log in tab.query(AlertLog):
            log.show(self.host.alerts)
            for detail in tab.query(AlertDetail):
                detail.show(log.row)
        for table in tab.query(CheckpointTable):
            table.show(state, self._sizes)
        for classes in tab.query(ClassTable):
            classes.show(state.test or state.validation)
        for machine in tab.query(MachinePanel):
            machine.show(state)
        self._look_at_files(state)

    @on(AlertLog.Highlighted)
    def _show_alert(self, event: AlertLog.Highlighted) -> None:
        for detail in self.query(AlertDetail):
            detail.show(event.row)

    @on(AlertLog.Acknowledgement)
    def _count_alerts(self) -> None:
        self._show_tabs()

    # What lies in files ---------------------------------------------------------------------------

    def _look_again(self) -> None:
        if self.tab == "checkpoints" and self.is_current and not self.is_tiny:
            self._files_seen.forget()
            self._look_at_files(self.host.run_state)

    def _look_at_files(self, state: RunState) -> None:
        """Read what the tab in view needs of the run's files, where it is another than before."""
        run, seen = self.host.run_dir, state.test or state.validation
        if run is None or self.tab not in ("checkpoints", "classes"):
            return
        file = "" if seen is None else seen.file
        if self._files_seen.are_new(self.tab, run.run_id, file, state.checkpoints, state.best):
            self._read_files(state, file)

    @work(group="files", exclusive=True, exit_on_error=False)
    async def _read_files(self, state: RunState, file: str) -> None:
        run = self.host.run_dir
        if run is None:
            return
        if self.tab == "checkpoints":
            best = [] if state.best is None else [state.best.path]
            paths = [*best, *(saved.path for saved in state.checkpoints)]
            sizes = await asyncio.to_thread(sizes_of, run, paths)
            if sizes != self._sizes:
                self._sizes = sizes
                for table in self.query(CheckpointTable):
                    table.show(state, sizes)
        elif file:
            found = await asyncio.to_thread(confusion_of, run, file)
            for panel in self.query(ConfusionPanel):
                panel.show(*found)

    # Going about ----------------------------------------------------------------------------------

    @property
    def tab(self) -> str:
        """Id of the tab in view."""
        return self.query_one(ContentSwitcher).current or "overview"

    async def action_tab(self, name: str) -> None:
        """Go to a tab; the classes, asked for once more, change between scores and confusion.

        It returns once the tab's panels are there and one has the focus: keys that were pressed
        meanwhile come after it, and are meant for that panel.
        """
        if self.maximized is not None:
            self.minimize()
        if name == self.tab == "classes":
            self.query_one("#classes").toggle_class("-confusion")
        self.query_one(ContentSwitcher).current = name
        for place in self.query(f"#{name}").results(Later):
            await place.make_now()
        self.follow()
        self._focus_in(name)

    async def action_turn(self, by: int) -> None:
        """Go to the next tab, or the one before."""
        names = [tab.id for tab in TABS]
        await self.action_tab(names[(names.index(self.tab) + by) % len(names)])

    @on(TabLine.Chosen)
    async def _go_to_tab(self, event: TabLine.Chosen) -> None:
        await self.action_tab(event.tab)

    def _focus_in(self, name: str) -> None:
        """Give the first panel of a tab the focus, so that its keys are heard."""
        if self.tab != name or not self.is_current:
            return
        for widget in self.query_one(f"#{name}").query("*"):
            if widget.focusable and all(each.display for each in widget.ancestors_with_self):
                widget.focus()
                return


def _make_classes() -> list[Widget]:
    """Return the scores and the confusion; where there is little room only one is in view."""
    return [ClassTable("L: confusion"), ConfusionPanel("L: scores")]

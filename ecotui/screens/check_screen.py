"""What the diagnostic and the preflight screen have in common: findings, and one beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from ecotui.actions.action import named
from ecotui.actions.table import ACTIONS
from ecotui.paths import RunDir
from ecotui.run_state import RunState
from ecotui.screens.frame import EcoScreen
from ecotui.screens.messages import ErrandEnd
from ecotui.widgets.finding_detail import FindingDetail
from ecotui.widgets.finding_rows import Row
from ecotui.widgets.finding_text import detail
from ecotui.widgets.readiness import ReadinessLine
from ecotui.widgets.stage_bars import StageBar
from ecotui.widgets.status_line import StatusLine
from ecotui.widgets.verdict_list import VerdictList

if TYPE_CHECKING:
    from ecotui.errand_state import ErrandState


KEPT = "your settings are kept: h goes home, n and the same folder opens them again"


@dataclass(frozen=True, slots=True)
class Subject:
    """What the screen shows.

    Attributes:
        state: Of the check, or of the run whose beginning is shown.
        run: Where the files lie that its events name; None where there are none.
        fault: Why the check could not be begun, in lines.
        is_run: Whether it is the run followed, and no check of its own.
    """

    state: RunState
    run: RunDir | None
    fault: str = ""
    is_run: bool = True


class CheckScreen(EcoScreen):
    """Shows a check that was asked for here, or else what the run found when it began.

    A subclass says which kind of job it is about, and lays out what is its own.
    """

    JOB: ClassVar[str] = ""
    """Kind of the short job whose findings are shown."""
    LIST_TITLE: ClassVar[str] = ""
    EMPTY: ClassVar[str] = ""
    DEFAULT_CSS = """
    CheckScreen #parts { height: 1fr; layout: vertical; }
    CheckScreen VerdictList { height: 3fr; min-height: 4; }
    CheckScreen FindingDetail { height: 2fr; min-height: 4; }
    CheckScreen.-wide #parts { layout: horizontal; }
    CheckScreen.-wide VerdictList { width: 3fr; height: 100%; }
    CheckScreen.-wide FindingDetail { width: 2fr; height: 100%; }
    CheckScreen .panel, CheckScreen .panel:focus { border: none; padding: 0 1; }
    CheckScreen .panel { border-top: solid $primary-muted; }
    CheckScreen .panel:focus { border-top: heavy $accent; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed_over: ErrandState | None = None
        self._subject_key: tuple[object, ...] = ()
        self._errand_for: tuple[object, RunDir | None] = (None, None)

    def compose_body(self) -> ComposeResult:
        """Lay out the progress, the findings with one beside them, and the sentence."""
        yield StatusLine(self.HEADING)
        yield from self.compose_progress()
        with Container(id="parts"):
            yield VerdictList(self.LIST_TITLE, self.EMPTY)
            yield FindingDetail("Evidence and remedy", id="detail")
        yield from self.compose_below()
        yield ReadinessLine()

    def compose_progress(self) -> ComposeResult:
        """Lay out how far the check is."""
        yield StageBar()

    def compose_below(self) -> ComposeResult:
        """Lay out what stands below the findings."""
        yield from ()

    def on_mount(self) -> None:
        """Follow the app's state, and begin in the list."""
        super().on_mount()
        for panel in (self.query_one(VerdictList), self.query_one(FindingDetail)):
            panel.add_class("panel")
        self.query_one(VerdictList).focus()

    # What is shown --------------------------------------------------------------------------------

    @property
    def errand(self) -> ErrandState | None:
        """The check that was asked for here, under way or done; None where the run is shown."""
        errand = self.host.errand
        if errand is None or errand.job.kind != self.JOB:
            return None
        if self._errand_for[0] is not errand.job:
            self._errand_for = (errand.job, self.host.run_dir)
            self._passed_over = None
        is_of_another = self._errand_for[1] != self.host.run_dir
        return None if is_of_another or self._passed_over is errand else errand

    @property
    def is_checking(self) -> bool:
        """Whether a short job is under way, of whatever kind: there is one at a time."""
        return self.host.errand is not None and not self.host.errand.is_over

    @property
    def subject(self) -> Subject:
        """What is shown now."""
        errand = self.errand
        if errand is None:
            return Subject(self.host.run_state, self.host.run_dir)
        return Subject(errand.state, errand.run, errand.fault, is_run=False)

    def rows(self, state: RunState) -> tuple[Row, ...]:
        """Return the findings."""
        raise NotImplementedError

    def show(self, state: RunState) -> None:
        """Show the check, or the run."""
        del state  # The check may be another one than the run's.
        subject = self.subject
        listed = self.query_one(VerdictList)
        key = (subject.is_run, subject.run)
        if key != self._subject_key:
            self._subject_key = key
            listed.start_anew()
        host = self.host
        line = self.query_one(StatusLine)
        line.show(subject.state, host.pending, is_readonly=host.situation.is_readonly)
        self.query_one(StageBar).show_stage(subject.state)
        listed.show(self.rows(subject.state), self.left_out)
        self.show_subject(subject)
        self.refresh_bindings()

    @property
    def left_out(self) -> frozenset[str]:
        """Photos that are left out by now."""
        return frozenset()

    def show_subject(self, subject: Subject) -> None:
        """Show what is this screen's own."""

    @property
    def kept_hint(self) -> str:
        """What is kept of a start on a folder of photos that came to nothing; empty otherwise."""
        host = self.host
        if self.errand is not None or not host.kept_starts.has_failed(host.run_dir):
            return ""
        return KEPT

    def show_detail(self, row: Row | None) -> None:
        """Show a finding beside the list."""
        about = "" if row is None else row.id
        self.query_one(FindingDetail).show(about, detail(row, self.left_out))

    @on(VerdictList.Pointed)
    def _point(self, event: VerdictList.Pointed) -> None:
        event.stop()
        self.show_detail(event.row)
        self.refresh_bindings()

    # Keys -----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the screen's actions when they are possible, and where they would do something."""
        if super().check_action(action, parameters) is False:
            return False
        mine = named([each for each in ACTIONS if each.place == self.NAME], action, parameters)
        return mine is None or self.is_offered(action)

    def is_offered(self, action: str) -> bool:
        """Say whether an action would do something now."""
        del action
        return True

    def say(self, words: str, *, is_warning: bool = False) -> None:
        """Tell something in a toast."""
        severity = "warning" if is_warning else "information"
        self.notify(words, severity=severity, timeout=8, markup=False)  # type: ignore[arg-type]

    def action_back(self) -> None:
        """Stop the check under way; where there is none, show what the run itself found."""
        errand = self.errand
        if errand is not None and not errand.is_over:
            self.post_message(ErrandEnd())
        elif errand is not None and self.host.run_dir is not None:
            self._passed_over = errand
            self.follow()

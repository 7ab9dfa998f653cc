"""Data, transforms, first batch and the plan, before training: layers 2 and 3."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult

from ecotui.actions.preflight import PREFLIGHT
from ecotui.audit_categories import CORRUPT
from ecotui.paths import RunDir, shipped_configs
from ecotui.preflight_register import CHECKS
from ecotui.preflight_text import preflight_lines
from ecotui.run_state import RunState
from ecotui.screens.check_screen import CheckScreen, Subject
from ecotui.screens.messages import (
    Check,
    Copy,
    DraftAcceptance,
    DraftChange,
    DraftExclusion,
    DraftStart,
    DraftUndo,
)
from ecotui.screens.pictures import Pictures
from ecotui.text import counted, listed, visible
from ecotui.widgets.check_stages import CheckStages
from ecotui.widgets.finding_detail import FindingDetail, Shown
from ecotui.widgets.finding_rows import (
    CheckRow,
    FileRow,
    FindingRow,
    PicturesRow,
    Row,
    preflight_rows,
)
from ecotui.widgets.finding_text import caption, detail
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.readiness import ReadinessLine, readiness
from ecotui.widgets.stage_bars import StageBar
from ecotui.widgets.verdict_list import VerdictList

MAX_CONFIGS = 200
"""Files in the working directory that are offered."""


class PreflightScreen(CheckScreen):
    """Verdicts on the data set, the transforms and the first batch, and the plan."""

    NAME = "preflight"
    HEADING = "2 Preflight"
    CSS_PATH = "preflight.tcss"
    BINDINGS = bindings_of(PREFLIGHT)
    JOB = "preflight"
    LIST_TITLE = "Data, transforms and model"
    EMPTY = "nothing has been checked yet"
    HELP = """
Whether this training will start, fit, finish, and mean something. What is wrong comes first.
Enter on a finding of the data lists its photos one by one; leaving one out writes its name into a
list that the config reads, and changes no photo. The plan's settings are written into the config
with one key. A shipped config is copied first. The last change can always be taken back.
"""

    def __init__(self) -> None:
        super().__init__()
        self._opened: frozenset[str] = frozenset()
        self._pictures = Pictures()
        self._checked_with: tuple[object, int] = (None, 0)

    def compose_progress(self) -> ComposeResult:
        """Lay out the stages, and how far the one under way is."""
        yield CheckStages()
        yield StageBar()

    # What is shown --------------------------------------------------------------------------------

    def rows(self, state: RunState) -> tuple[Row, ...]:
        """Return what was found, the photos of opened findings among it."""
        return preflight_rows(state, self._opened)

    @property
    def left_out(self) -> frozenset[str]:
        """Photos that the config at hand leaves out by now."""
        return frozenset() if self.host.draft is None else self.host.draft.left_out

    def on_mount(self) -> None:
        """Follow the config that is being prepared, too."""
        super().on_mount()
        self.watch(self.app, "draft", self.follow, init=False)

    def show_subject(self, subject: Subject) -> None:
        """Show the stages, and whether training can start."""
        self.query_one(CheckStages).show(subject.state)
        told = readiness(subject.state, subject.fault, is_run=subject.is_run)
        self.query_one(ReadinessLine).show(told, self.kept_hint or self._hint())

    def _hint(self) -> str:
        """Return which config is meant, and how many changes the check has not seen."""
        draft, errand = self.host.draft, self.errand
        about = self.host.run_dir if errand is None else errand.job
        if about is not self._checked_with[0]:
            self._checked_with = (about, 0 if draft is None else len(draft.changes))
        if draft is None:
            return ""
        told = f"config: {visible(draft.loaded.path, limit=120)}"
        unseen = len(draft.changes) - self._checked_with[1]
        if unseen > 0:
            told = f"{counted(unseen, 'change')} since the check; {told}"
        return told

    def show_detail(self, row: Row | None) -> None:
        """Show a finding with the pictures concerned."""
        about = "" if row is None else row.id
        has_photos = isinstance(row, FindingRow) and bool(row.finding.examples)
        told = "Enter lists the photos" if has_photos else ""
        self.query_one(VerdictList).border_subtitle = told
        text = detail(row, self.left_out)
        self.query_one(FindingDetail).show(about, text, self._shown(row, self.subject.run))

    def _shown(self, row: Row | None, run: RunDir | None) -> Sequence[Shown]:
        match row:
            case FindingRow(finding=finding):
                pictured = [each for each in finding.examples if each.preview]
                return [
                    Shown(self._pictures.read(run, each.preview), caption(each))
                    for each in pictured
                ]
            case FileRow(example=example) if example.preview:
                return [Shown(self._pictures.read(run, example.preview), caption(example))]
            case PicturesRow(previews=previews):
                return [
                    Shown(self._pictures.read(run, each.path), each.source) for each in previews
                ]
            case _:
                return ()

    @on(VerdictList.Opened)
    def _open(self, event: VerdictList.Opened) -> None:
        """List the photos of a finding one by one, or fold them again."""
        event.stop()
        if isinstance(event.row, FindingRow) and event.row.finding.examples:
            self._opened ^= {event.row.id}
            self.follow()

    # Checking -------------------------------------------------------------------------------------

    def is_offered(self, action: str) -> bool:
        """Say whether an action would do something now."""
        row = self.query_one(VerdictList).row if self.is_mounted else None
        match action:
            case "again" | "check_all":
                return not self.is_checking and self._has_config
            case "leave_out":
                return isinstance(row, FindingRow | FileRow) and _can_leave_out(row)
            case "accept":
                return (
                    isinstance(row, CheckRow)
                    and row.check.verdict == "warn"
                    and row.check.check in CHECKS
                )
            case "apply_plan":
                plan = self.subject.state.outlook.plan
                return plan is not None and bool(plan.settings.strip())
            case "undo":
                return self.host.draft is not None and bool(self.host.draft.changes)
            case "start":
                return self._has_config and not self.host.situation.is_live
            case _:
                return True

    @property
    def _has_config(self) -> bool:
        return self.host.draft is not None or self.host.run_dir is not None

    def action_again(self) -> None:
        """Check the config as its file stands now."""
        self.post_message(Check())

    def action_check_all(self) -> None:
        """The same, and every photo is read."""
        self.post_message(Check(is_full=True))

    def action_choose_config(self) -> None:
        """Ask for a config, and check it."""
        from ecotui.screens.dialogs.choice import Choice, ChoiceScreen

        mine = sorted(path for path in Path.cwd().glob("*.toml") if path.name != "pyproject.toml")
        choices = [Choice(str(path), path.name, "here") for path in mine[:MAX_CONFIGS]]
        choices += [Choice(name, name, "shipped") for name in shipped_configs()]
        self.app.push_screen(ChoiceScreen("Check which config?", choices), self._check_chosen)

    def _check_chosen(self, reference: str | None) -> None:
        if reference is not None:
            self.post_message(Check(reference))

    def action_start(self) -> None:
        """Start training with the config at hand, or say why not."""
        subject = self.subject
        told = readiness(subject.state, subject.fault, is_run=subject.is_run)
        has_changed = "since the check" in self._hint()
        if self.is_checking:
            self.say("not yet: the check is under way; escape stops it", is_warning=True)
        elif told.may_start or has_changed:
            self.post_message(DraftStart())
        else:
            self.say(f"not started: {told.words}", is_warning=True)

    # Changing the config --------------------------------------------------------------------------

    def action_leave_out(self) -> None:
        """Leave out what is under the cursor, or keep it again."""
        row, subject = self.query_one(VerdictList).row, self.subject
        audit = subject.state.outlook.audit
        if not isinstance(row, FindingRow | FileRow) or subject.run is None:
            return
        is_known = isinstance(row, FileRow) or row.finding.category in CORRUPT
        if audit is None and not (is_known and row.finding.num_files <= len(row.finding.examples)):
            self.say("have every photo read first (check all): these are examples", is_warning=True)
            return
        concerned = [row.example] if isinstance(row, FileRow) else row.finding.examples
        is_out = any(each.path in self.left_out for each in concerned)
        name = concerned[0].path if isinstance(row, FileRow) else row.finding.what
        self.post_message(
            DraftExclusion(
                subject.run,
                "" if audit is None else audit.file,
                row.finding.category,
                (row.number,) if isinstance(row, FileRow) else (),
                leaves_out=not is_out,
                names=tuple(each.path for each in concerned),
                words=f"{'keep' if is_out else 'leave out'} {visible(name, limit=80)}",
            )
        )

    def action_apply_plan(self) -> None:
        """Write the settings that would suit better into the config."""
        plan = self.subject.state.outlook.plan
        if plan is None:
            return
        table = tomllib.loads(plan.settings)
        settings = {name: part for name, part in table.items() if isinstance(part, dict)}
        written = [
            f"{name}.{key} = {v}" for name, part in settings.items() for key, v in part.items()
        ]
        self.post_message(DraftChange(settings, f"the plan: {listed(written)}"))

    def action_accept(self) -> None:
        """Accept the warning under the cursor by its name."""
        row = self.query_one(VerdictList).row
        if isinstance(row, CheckRow) and row.check.check in CHECKS:
            self.post_message(DraftAcceptance(row.check.check))

    def action_undo(self) -> None:
        """Take the last change back."""
        self.post_message(DraftUndo())

    def action_copy_report(self) -> None:
        """Copy all that was found."""
        lines = preflight_lines(self.subject.state, "ready to train")
        self.post_message(Copy("\n".join(lines), "all that was found"))


def _can_leave_out(row: FindingRow | FileRow) -> bool:
    if isinstance(row, FileRow):
        return bool(row.example.path)
    return row.finding.can_exclude

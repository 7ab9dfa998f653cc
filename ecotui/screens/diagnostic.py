"""The environment, before anything else: layer 1."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Literal

from textual import work
from textual.app import ComposeResult
from textual.content import Content

from ecotui.actions.diagnostic import DIAGNOSTIC
from ecotui.check_report import path_fault, write_report
from ecotui.errors import EcoError
from ecotui.events import CheckReported, EngineLost, RepairPlanned, RunFailed
from ecotui.repair_text import OUTCOMES
from ecotui.run_state import RunState
from ecotui.screens.check_screen import CheckScreen, Subject
from ecotui.screens.messages import Copy, Errand
from ecotui.text import counted, listed, visible
from ecotui.widgets.finding_rows import Row, environment_causes, environment_rows
from ecotui.widgets.finding_text import detail
from ecotui.widgets.marks import PHASES, STATUSES, VERDICTS
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.readiness import Readiness, ReadinessLine, gone
from ecotui.widgets.seen import Seen
from ecotui.widgets.tail_text import TailText

if TYPE_CHECKING:
    from ecotui.jobs import DiagnoseJob

TITLE = "What ecotui found in this environment"
DEFAULT_FILE = "ecotui-findings.md"


class DiagnosticScreen(CheckScreen):
    """Verdicts on Python, packages, devices, memory and disk."""

    NAME = "diagnostic"
    HEADING = "1 Diagnostic"
    CSS_PATH = "diagnostic.tcss"
    BINDINGS = bindings_of(DIAGNOSTIC)
    JOB = "diagnose"
    LIST_TITLE = "Environment"
    EMPTY = "the environment has not been looked at yet"
    HELP = """
What training needs of this machine, tried for real: what failed comes first, with its cause before
what follows from it. Beside it stand the evidence, what to do, why, and where that is known from.
A run looks at the most important part when it begins; examining looks at all of it.
Mending shows its commands first, and undoes them where they did not help.
"""

    def __init__(self) -> None:
        super().__init__()
        self._planned: DiagnoseJob | None = None
        self._output = Seen()
        self._has_begun = False

    def compose_below(self) -> ComposeResult:
        """Lay out the place for what the commands of a repair print."""
        output = TailText(id="output", classes="panel")
        output.border_title = "Mending"
        output.display = False
        yield output

    def on_screen_resume(self) -> None:
        """Examine the environment, where there is nothing to show yet."""
        super().on_screen_resume()
        host = self.host
        is_empty = host.run_dir is None and self.errand is None and not self._has_begun
        if is_empty and not self.is_checking and not host.situation.is_readonly:
            self._has_begun = True  # Once: a screen may come into view twice in a row.
            self.action_again()

    def rows(self, state: RunState) -> tuple[Row, ...]:
        """Return the checks of layer 1."""
        return environment_rows(state)

    def show_subject(self, subject: Subject) -> None:
        """Show what a repair does, and how things stand."""
        self._show_output(subject.state)
        self.query_one(ReadinessLine).show(soundness(subject), self.kept_hint)
        self._ask_when_planned()

    def _show_output(self, state: RunState) -> None:
        repair = state.repair
        output = self.query_one("#output", TailText)
        output.display = repair.step is not None
        self.set_class(repair.step is not None, "-mending")
        if repair.step is None or not self._output.are_new(repair.step, repair.said, repair.end):
            return
        steps = len(repair.plan.steps) if repair.plan is not None else 0
        lines = [Content.styled(f"$ {visible(shlex.join(repair.step.argv))}", "bold")]
        lines += [Content(visible(line)) for line in repair.said]
        if repair.end is not None:
            told = f"{OUTCOMES[repair.end.outcome]}: {visible(repair.end.what)}"
            is_good = repair.end.outcome in ("mended", "better", "nothing_to_do")
            lines.append(VERDICTS["pass" if is_good else "fail"].before(told))
            lines += [Content(f"  {visible(each)}") for each in repair.end.changed]
        output.border_title = f"Mending: command {repair.step.number} of {steps}"
        output.write(lines, empty="")

    # Keys -----------------------------------------------------------------------------------------

    def is_offered(self, action: str) -> bool:
        """Say whether an action would do something now."""
        if action in ("again", "fix"):
            return not self.is_checking
        return action == "back" or bool(self._checks())

    def action_again(self) -> None:
        """Examine all of the environment."""
        if self.is_checking:
            self.say("one thing at a time: an examination is under way", is_warning=True)
            return
        self._examine("no")

    @work(group="examine", exclusive=True, exit_on_error=False)
    async def _examine(self, repair: Literal["no", "plan", "apply"]) -> None:
        from ecotui.jobs import DiagnoseJob
        from ecotui.terminal_facts import look_at_terminal

        job = DiagnoseJob(
            runs_path=str(self.host.runs_dir.absolute()),
            # In a thread: inside tmux it is asked, which may take its time.
            terminal=await asyncio.to_thread(look_at_terminal),
            repair=repair,
        )
        self._planned = job if repair == "plan" else None
        self.post_message(Errand(job))

    def action_fix(self) -> None:
        """Find out what would mend the environment, and show it before anything is done."""
        if self.is_checking:
            self.say("one thing at a time: an examination is under way", is_warning=True)
        elif not any(check.verdict == "fail" for check in self._checks()):
            self.say("no check has failed: there is nothing to mend")
        else:
            self.say("looking for what would mend it; nothing is changed before you say yes")
            self._examine("plan")

    def _ask_when_planned(self) -> None:
        errand = self.errand
        if errand is None or errand.job is not self._planned or not errand.is_over:
            return
        self._planned = None
        plan = errand.state.repair.plan
        if plan is None or plan.refusal or not plan.steps:
            self.say(_why_not(errand.state), is_warning=True)
            return
        from ecotui.screens.dialogs.confirm import ConfirmScreen

        lines = plan_lines(plan, is_live=self.host.situation.is_live)
        yes = f"Run {counted(len(plan.steps), 'command')}"
        self.app.push_screen(ConfirmScreen("Mend the environment", lines, yes=yes), self._mend_if)

    def _mend_if(self, is_sure: bool | None) -> None:
        if is_sure:
            self._examine("apply")
        else:
            self.say("nothing was changed")

    def action_export(self) -> None:
        """Ask for a path, and write all findings there."""
        from ecotui.screens.dialogs.value import ValueScreen

        told = ".md gives Markdown, .json gives JSON; relative to the working directory"
        dialog = ValueScreen("Export the findings", told, DEFAULT_FILE, path_fault)
        self.app.push_screen(dialog, self._export_to)

    def _export_to(self, written: str | None) -> None:
        if written is not None:
            self._write(tuple(self._checks()), written)

    @work(group="export", exit_on_error=False)
    async def _write(self, checks: tuple[CheckReported, ...], written: str) -> None:
        try:
            path = await asyncio.to_thread(write_report, checks, written, TITLE)
        except EcoError as error:
            self.say("\n".join(error.lines()), is_warning=True)
            return
        self.say(f"{counted(len(checks), 'finding')} written to {visible(path)}")

    def action_copy_report(self) -> None:
        """Copy all findings with their remedies."""
        rows = [detail(row).plain for row in self.rows(self.subject.state)]
        told = "\n\n".join(text for text in rows if text)
        self.post_message(Copy(told, "all findings"))

    def _checks(self) -> list[CheckReported]:
        return [check for check in self.subject.state.checks if check.layer == 1]


def plan_lines(plan: RepairPlanned, *, is_live: bool) -> list[str]:
    """Return what a repair would do: each command as it would be run, and what may change."""
    lines = [f"For {plan.python}:"]
    for step in plan.steps:
        lines += [f"$ {shlex.join(step.argv)}", f"  {step.why}"]
    if plan.packages_before:
        before = listed(plan.packages_before, limit=len(plan.packages_before))
        lines.append(f"Now there: {before}. These come back if it does not help.")
    if is_live:
        lines.append("A run is going: it may fail when its packages change under it.")
    return lines


def _why_not(state: RunState) -> str:
    plan, end = state.repair.plan, state.repair.end
    if plan is not None and plan.refusal:
        return f"nothing is changed here: {visible(plan.refusal)}"
    if plan is not None or (end is not None and end.outcome != "nothing_to_do"):
        return "no command of ecotui's mends this: the remedies beside the findings say what does"
    return "no check fails any more: there is nothing to mend"


def soundness(subject: Subject) -> Readiness:
    """Return how the environment is, in a sentence."""
    state = subject.state
    checks = [check for check in state.checks if check.layer == 1]
    failed = [check for check in checks if check.verdict == "fail"]
    warned = sum(check.verdict == "warn" for check in checks)
    end = state.repair.end
    if subject.fault:
        words = " · ".join(subject.fault.splitlines())
        return Readiness(VERDICTS["fail"], f"not examined: {words}")
    if end is not None and end.outcome not in ("planned", "nothing_to_do"):
        told = f"{OUTCOMES[end.outcome]}: {visible(end.what)}"
        is_good = end.outcome in ("mended", "better")
        return Readiness(VERDICTS["pass" if is_good else "fail"], told)
    if failed:
        first = environment_causes(failed)[0]
        wanted = f", expected {visible(first.expected)}" if first.expected else ""
        told = f"no run can be trusted here: {visible(first.what)}{wanted}"
        return Readiness(VERDICTS["fail"], told)
    if isinstance(state.ending, RunFailed) and not state.has_come_to_train:
        what, remedy = visible(state.ending.what), visible(state.ending.remedy)
        return Readiness(VERDICTS["fail"], f"failed: {what}; to fix: {remedy}")
    if isinstance(state.ending, EngineLost) and not state.has_come_to_train:
        return gone(state.ending)
    is_under_way = state.stage is not None and state.stage.name == "diagnose"
    if is_under_way or (not checks and state.attempt and state.ending is None):
        return Readiness(PHASES["setup"], f"examining: {counted(len(checks), 'check')} so far")
    if not checks:
        return Readiness(STATUSES["idle"], "the environment has not been looked at yet")
    if warned:
        return Readiness(VERDICTS["warn"], f"fit to train, with {counted(warned, 'warning')}")
    return Readiness(VERDICTS["pass"], "the environment is sound")

"""Whether training can start, and in plain words why not."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.widgets import Static

from ecotui.events import EngineLost, RunFailed, RunStopped
from ecotui.run_state import RunState
from ecotui.text import counted, visible
from ecotui.widgets.marks import PHASES, STATUSES, VERDICTS, Mark


@dataclass(frozen=True, slots=True)
class Readiness:
    """What can be said of a check as a whole.

    Attributes:
        mark: Symbol and colour.
        words: A sentence.
        may_start: Whether a training may be started from it.
    """

    mark: Mark
    words: str
    may_start: bool = False


def readiness(state: RunState, fault: str = "", *, is_run: bool = False) -> Readiness:
    """Return whether training can start.

    Args:
        state: Of the check, or of the run whose beginning it is.
        fault: Why the check could not be begun, in lines; empty otherwise.
        is_run: Whether it is the beginning of a run, which goes on by itself.
    """
    if fault:
        return Readiness(VERDICTS["fail"], f"not checked: {' · '.join(fault.splitlines())}")
    if not state.attempt:
        return Readiness(STATUSES["idle"], "nothing has been checked yet")
    failed = [check for check in state.checks if check.verdict == "fail"]
    match state.ending:
        case RunFailed() as end:
            what, remedy = visible(end.what), visible(end.remedy)
            verb = "ended" if is_run and state.has_come_to_train else "cannot train"
            return Readiness(VERDICTS["fail"], f"{verb}: {what}; to fix: {remedy}")
        case EngineLost() as lost:
            return gone(lost)
        case RunStopped() if not state.has_come_to_train:
            return Readiness(PHASES["stopped"], "stopped before all was checked", may_start=True)
        case None if state.has_come_to_train and is_run:
            return Readiness(PHASES["running"], "all was checked, and the run trains")
        case None:
            return _under_way(state, len(failed), is_run=is_run)
    return _sound(state)


def gone(lost: EngineLost) -> Readiness:
    """Return what is to be said where the engine has gone without a word."""
    words = f": {visible(lost.last_words[-1], limit=200)}" if lost.last_words else ""
    return Readiness(PHASES["lost"], f"the engine is gone{words}")


def _under_way(state: RunState, num_failed: int, *, is_run: bool) -> Readiness:
    if num_failed:
        return Readiness(VERDICTS["fail"], f"{counted(num_failed, 'check')} failed so far")
    then = "the run goes on by itself" if is_run else "training can be started after that"
    doing = visible(state.doing) or "checking"
    return Readiness(PHASES["setup"], f"{doing}; {then}")


def _sound(state: RunState) -> Readiness:
    warnings = sum(check.verdict == "warn" for check in state.checks)
    warnings += sum(finding.verdict == "warn" for finding in state.outlook.findings)
    if warnings:
        told = f"ready to train; {counted(warnings, 'warning')}, none of which holds it up"
        return Readiness(VERDICTS["warn"], told, may_start=True)
    return Readiness(VERDICTS["pass"], "ready to train", may_start=True)


class ReadinessLine(Static):
    """The sentence, in the place where the eye ends."""

    DEFAULT_CSS = "ReadinessLine { height: auto; max-height: 7; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: tuple[Readiness, str] | None = None

    def show(self, told: Readiness, hint: str = "") -> None:
        """Show the sentence, and what can be done now."""
        if (told, hint) == self._shown:
            return
        self._shown = (told, hint)
        lines = [told.mark.before(told.words)]
        if hint:
            lines.append(Content.styled(hint, "$foreground-muted"))
        self.update(Content("\n").join(lines))

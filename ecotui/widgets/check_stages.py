"""The stages of a check, each waiting, under way or done, in one line."""

from __future__ import annotations

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from ecotui.events import RunFinished
from ecotui.run_state import RunState
from ecotui.widgets.marks import PHASES, STATUSES
from ecotui.widgets.seen import Seen

Progress = Literal["waiting", "under way", "done"]
_NAMES = {
    "diagnose": "environment",
    "weights": "weights",
    "audit": "data",
    "preflight": "transforms and model",
    "plan": "plan",
}
_MARKS = {"waiting": STATUSES["idle"], "under way": PHASES["running"], "done": STATUSES["passed"]}


class CheckStages(Static):
    """What is done, what is under way and how far, and what is to come."""

    DEFAULT_CSS = """
    CheckStages { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._seen = Seen()

    def show(self, state: RunState) -> None:
        """Show the stages."""
        told = stages(state)
        if self._seen.are_new(*(part for each in told for part in each)):
            self.update(Content("   ").join(_told(*each) for each in told))


def stages(state: RunState) -> list[tuple[str, Progress, str]]:
    """Return name, progress and figures of each stage of this attempt, in order.

    None is done before an earlier one is: what an earlier attempt left of it does not count.
    """
    opened = {stage.name: stage for stage in state.stages}
    told: list[tuple[str, Progress, str]] = []
    is_behind = False
    for name, is_done in _done(state).items():
        if name in opened:
            figures = f"{opened[name].done:,}/{opened[name].total:,}"
            told.append((_NAMES[name], "under way", figures))
            is_behind = True
        elif is_done and not is_behind:
            told.append((_NAMES[name], "done", ""))
        elif name in _expected(state):
            told.append((_NAMES[name], "waiting", ""))
            is_behind = True
    return told


def _expected(state: RunState) -> tuple[str, ...]:
    if state.facts is None:
        return ("diagnose", "preflight", "plan")
    # The plan of an earlier attempt holds.
    has_plan = state.attempt > 1 and state.outlook.plan is not None
    planned = tuple(name for name in state.facts.stages if name != "plan" or not has_plan)
    return ("diagnose", *planned)


def _done(state: RunState) -> dict[str, bool]:
    """Say of each stage whether its outcome is there, or something later is."""
    is_over = isinstance(state.ending, RunFinished) or state.has_come_to_train
    names = {stage.name for stage in state.stages}
    has_judged = any(check.layer in (2, 3) for check in state.checks)
    is_resumed = state.attempt > 1
    has_plan = state.outlook.plan is not None and (is_over or not is_resumed)
    has_built = state.facts is not None and state.phase != "setup"
    is_checked = has_plan or is_over or "plan" in names or (has_judged and not names)
    return {
        "diagnose": has_built or bool(state.doing) or is_over,
        "weights": False,
        "audit": state.outlook.audit is not None and (is_checked or has_judged or not is_resumed),
        "preflight": is_checked,
        "plan": has_plan,
    }


def _told(name: str, progress: Progress, figures: str) -> Content:
    word = f"{name} {figures}".rstrip()
    return _MARKS[progress].before(word if progress != "waiting" else f"{word} (to come)")

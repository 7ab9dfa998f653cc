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
    """Return name, progress and figures of each stage, in order."""
    opened = {stage.name: stage for stage in state.stages}
    return [
        (
            _NAMES[name],
            "under way" if name in opened else "done" if is_done else "waiting",
            f"{opened[name].done:,}/{opened[name].total:,}" if name in opened else "",
        )
        for name, is_done in _done(state).items()
        if is_done or name in opened or name in _expected(state)
    ]


def _expected(state: RunState) -> tuple[str, ...]:
    if state.facts is None:
        return ("diagnose", "preflight", "plan")
    return ("diagnose", *state.facts.stages)


def _done(state: RunState) -> dict[str, bool]:
    """Say of each stage whether its outcome is there, or something later is."""
    has_plan = state.outlook.plan is not None
    is_over = isinstance(state.ending, RunFinished) or state.epoch > 0
    names = {stage.name for stage in state.stages}
    has_judged = any(check.layer in (2, 3) for check in state.checks)
    has_begun = state.facts is not None
    return {
        "diagnose": has_begun or bool(state.doing) or is_over,
        "weights": False,
        "audit": state.outlook.audit is not None,
        "preflight": has_plan or is_over or "plan" in names or (has_judged and not names),
        "plan": has_plan,
    }


def _told(name: str, progress: Progress, figures: str) -> Content:
    word = f"{name} {figures}".rstrip()
    return _MARKS[progress].before(word if progress != "waiting" else f"{word} (to come)")

"""A repair in words: what is wrong, what would mend it, what is done, and what came of it.

Pure: the same state gives the same lines on every face.
"""

from __future__ import annotations

from ecotui.events import (
    AnyEvent,
    CheckReported,
    RepairFinished,
    RepairOutcome,
    RepairPlanned,
    StageStarted,
)
from ecotui.examination_text import SOUND, examination_lines, finding_lines, report_lines
from ecotui.narration import remarks
from ecotui.state import RunState
from ecotui.summary import verdict_lines
from ecotui.text import counted

OUTCOMES: dict[RepairOutcome, str] = {
    "nothing_to_do": SOUND,
    "planned": "not mended",
    "mended": "mended",
    "better": "better, and not yet sound",
    "rolled_back": "undone",
    "stuck": "error",
}
"""How the end of a repair is called before it is told."""


def repair_remarks(event: AnyEvent, state: RunState) -> list[str]:
    """Return what to say of an event of a repair that was just folded into the state.

    The findings are told together, the cause first: it stands in the first line.
    """
    match event:
        case StageStarted() | CheckReported():
            return []
        case RepairPlanned():
            return [*report_lines(state), *remarks(event, state)]
        case RepairFinished(outcome="mended" | "better"):
            return _examined_again(state)
        case _:
            return remarks(event, state)


def repair_lines(state: RunState) -> list[str]:
    """Return how a repair ended; the findings where it came to no plan."""
    end = state.repair.end
    if state.repair.plan is None:
        return examination_lines(state)
    if end is None:
        return verdict_lines(state, SOUND)
    return [f"{OUTCOMES[end.outcome]}: {end.what}"]


def _examined_again(state: RunState) -> list[str]:
    wrong = [check for check in state.checks if check.verdict in ("fail", "warn")]
    failures = counted(sum(check.verdict == "fail" for check in wrong), "failure")
    lines = [f"examined again: {counted(len(state.checks), 'check')}, {failures}"]
    return [*lines, *(line for check in wrong for line in finding_lines(check))]

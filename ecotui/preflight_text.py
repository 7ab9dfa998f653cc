"""What preflight found, in words: four sentences first when all is well, else the worst first.

Pure: the same state gives the same lines on every face.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecotui.examination_text import finding_lines, report_lines
from ecotui.foresight_text import foresight_lines, settings_lines
from ecotui.state import RunState
from ecotui.summary import verdict_lines
from ecotui.text import duration, visible

_RANKS = {"fail": 0, "warn": 1, "note": 2, "pass": 3}


def preflight_lines(state: RunState, sound: str, apply: str = "") -> list[str]:
    """Return all that a person should know of a preflight, and at the end how it ended.

    A check that passed and is summed up by another one is passed over.

    Args:
        state: Of the job.
        sound: What to say where nothing failed.
        apply: Command that puts the settings proposed into the config; empty for none.
    """
    environment = [check for check in state.checks if check.layer == 1]
    lines: list[str] = []
    if any(check.verdict == "fail" for check in environment):
        lines += report_lines(state)
    found = [check for check in state.checks if check.layer in (2, 3)]
    shown = [check for check in found if check.verdict != "pass" or not check.part_of]
    by_rank: dict[int, list[str]] = {rank: [] for rank in _RANKS.values()}
    for check in shown:
        by_rank[_RANKS[check.verdict]] += finding_lines(check)
    for finding in state.outlook.findings:
        by_rank[_RANKS[finding.verdict]] += _safe(foresight_lines(finding))
    for check in environment:
        if check.verdict == "warn":
            by_rank[1] += finding_lines(check)
    is_well = not by_rank[0] and not by_rank[1]
    for rank in (3, 0, 1, 2) if is_well else (0, 1, 2, 3):
        lines += by_rank[rank]
    if state.outlook.plan is not None:
        lines += _safe(foresight_lines(state.outlook.plan))
        settings = settings_lines(state.outlook.plan)
        lines += [*settings, f"# or: {visible(apply)}"] if settings and apply else settings
    return [*lines, *_recorded(state), *verdict_lines(state, sound)]


def _recorded(state: RunState) -> list[str]:
    """Tell what there was no time for, how long the rest took, and where all of it is kept."""
    record, plan = state.outlook.record, state.outlook.plan
    if record is None:
        return []
    lines = _safe(foresight_lines(record))
    lines.append(
        f"checked in {duration(record.seconds)} of the {duration(record.budget_seconds)} that "
        "preflight.budget_seconds allows"
    )
    kept = [record.file]
    kept += [] if state.outlook.audit is None else [state.outlook.audit.file]
    kept += ["previews/"] if state.outlook.previews else []
    kept += ["plan.toml"] if plan is not None and plan.settings else []
    lines.append(f"kept in {visible(record.folder)}: {', '.join(map(visible, kept))}")
    return lines


def _safe(lines: Iterable[str]) -> list[str]:
    return [visible(line) for line in lines]

"""What the two screens of checks list, line by line: pure, from the events alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ecotui.check_register import CHECKS
from ecotui.events import CheckReported, Verdict
from ecotui.plans import AuditExample, AuditReported, PlanProposed, PreviewWritten
from ecotui.preflight_register import SUMMARIES
from ecotui.run_state import RunState

GROUPS: dict[Verdict, str] = {
    "fail": "failed",
    "warn": "warnings",
    "note": "notes",
    "pass": "passed",
}
"""Headings, the worst first."""
MAX_FILES = 12
"""Of a finding, shown one by one: as many as the event holds."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a group."""

    id: str
    words: str


@dataclass(frozen=True, slots=True)
class CheckRow:
    """The verdict of a check."""

    id: str
    check: CheckReported


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A kind of finding of the audit."""

    id: str
    finding: AuditReported


@dataclass(frozen=True, slots=True)
class FileRow:
    """A photo that a finding is about."""

    id: str
    finding: AuditReported
    number: int
    """Among the finding's examples, from 0."""

    @property
    def example(self) -> AuditExample:
        """The photo."""
        return self.finding.examples[self.number]


@dataclass(frozen=True, slots=True)
class PicturesRow:
    """What the transforms of a split make of photos."""

    id: str
    subject: Literal["train", "val"]
    previews: tuple[PreviewWritten, ...]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What the run will take."""

    id: str
    plan: PlanProposed


Row = Heading | CheckRow | FindingRow | FileRow | PicturesRow | PlanRow


def environment_rows(state: RunState) -> tuple[Row, ...]:
    """Return the checks of layer 1 in groups, the worst first and causes before effects."""
    checks = [check for check in state.checks if check.layer == 1]
    mended = _mended(state)
    proof = [check for check in checks if check.check in mended and check.verdict == "pass"]
    rows = _group("pass", [_check_row(check) for check in proof], "mended, and examined again")
    checks = [check for check in checks if check not in proof]
    for verdict in GROUPS:
        mine = [check for check in checks if check.verdict == verdict]
        if verdict == "fail":
            mine = environment_causes(mine)
        rows += _group(verdict, [_check_row(check) for check in mine])
    return tuple(rows)


def _mended(state: RunState) -> frozenset[str]:
    """Return the checks that a repair was for, once it has helped."""
    plan, end = state.repair.plan, state.repair.end
    if plan is None or end is None or end.outcome not in ("mended", "better"):
        return frozenset()
    return frozenset(name for step in plan.steps for name in step.checks)


def environment_causes(failed: Sequence[CheckReported]) -> list[CheckReported]:
    """Return failed checks so that a cause comes before what follows from it."""
    order = {name: place for place, name in enumerate(CHECKS)}
    return sorted(failed, key=lambda check: order.get(check.check, len(order)))


def preflight_rows(state: RunState, opened: frozenset[str] = frozenset()) -> tuple[Row, ...]:
    """Return all that preflight found, the worst first; the four sentences where all is well.

    Args:
        state: Of the job or the run.
        opened: Ids of the findings whose photos are listed one by one.
    """
    groups = _by_verdict(state, opened)
    is_well = not groups["fail"] and not groups["warn"]
    summed_up, others = _told_first(groups["pass"])
    rows: list[Row] = []
    if is_well:
        rows += _group("pass", summed_up, "all is well" if summed_up else "")
    for verdict in ("fail", "warn", "note"):
        rows += _group(verdict, groups[verdict])
    rows += _after_the_verdicts(state)
    if not is_well:
        rows += _group("pass", summed_up)
    rows += _group("pass", others, "passed in detail")
    return tuple(rows)


def worst(rows: Iterable[Row]) -> Verdict | None:
    """Return the worst verdict among rows; None where there is none."""
    found = {verdict_of(row) for row in rows}
    return next((verdict for verdict in GROUPS if verdict in found), None)


def verdict_of(row: Row) -> Verdict | None:
    """Return the verdict of a row that has one."""
    match row:
        case CheckRow():
            return row.check.verdict
        case FindingRow() | FileRow():
            return row.finding.verdict
        case _:
            return None


def _by_verdict(state: RunState, opened: frozenset[str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {verdict: [] for verdict in GROUPS}
    for check in state.checks:
        # Of the environment what may hamper the run; its own screen has all of it.
        if check.layer in (2, 3) or check.verdict in ("fail", "warn"):
            groups[check.verdict].append(_check_row(check))
    for finding in state.outlook.findings:
        row = FindingRow(f"finding-{finding.category}", finding)
        groups[finding.verdict].append(row)
        if row.id in opened:
            groups[finding.verdict] += [
                FileRow(f"file-{finding.category}-{number}", finding, number)
                for number in range(min(MAX_FILES, len(finding.examples)))
            ]
    return groups


def _told_first(passed: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Part what sums up from what is summed up; the four sentences in their order."""
    order = {name: place for place, name in enumerate(SUMMARIES)}
    first = [row for row in passed if isinstance(row, CheckRow) and row.check.check in order]
    first.sort(key=lambda row: order[row.check.check])
    return list(first), [row for row in passed if row not in first]


def _after_the_verdicts(state: RunState) -> Iterable[Row]:
    outlook = state.outlook
    rows: list[Row] = []
    for subject in ("train", "val"):
        mine = tuple(each for each in outlook.previews if each.subject == subject)
        if mine:
            rows.append(PicturesRow(f"pictures-{subject}", subject, mine))
    if outlook.plan is not None:
        rows.append(PlanRow("plan", outlook.plan))
    return [Heading("group-outlook", "what the run will see and take"), *rows] if rows else []


def _group(verdict: Verdict, rows: Sequence[Row], name: str = "") -> list[Row]:
    if not rows:
        return []
    count = sum(not isinstance(row, FileRow) for row in rows)
    words = f"{name or GROUPS[verdict]} ({count:,})"
    return [Heading(f"group-{verdict}-{name}", words), *rows]


def _check_row(check: CheckReported) -> CheckRow:
    return CheckRow(f"check-{check.layer}-{check.check}", check)

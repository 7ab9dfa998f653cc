"""What an examination of an environment found, in words, the cause of a failure first.

Pure: the same state gives the same lines on every face.
"""

from __future__ import annotations

from ecotui.check_register import CHECKS
from ecotui.events import CheckReported
from ecotui.state import RunState
from ecotui.summary import verdict_lines
from ecotui.text import counted, visible

SOUND = "the environment is sound"


def examination_lines(state: RunState) -> list[str]:
    """Return all findings, worst first, and at the end how the examination ended."""
    checks = [check for check in state.checks if check.layer == 1]
    lines = report_lines(state)
    failures = _causes_first([check for check in checks if check.verdict == "fail"])
    *before, closing = verdict_lines(state, SOUND)
    if not failures:
        return [*lines, *before, closing]
    # Once more where the eye is after a list that is longer than the terminal.
    first = failures[0]
    again = [f"the first cause: {visible(first.what)}", f"  to fix: {visible(first.remedy)}"]
    return [*lines, *before, *again, f"{closing}, of {counted(len(checks), 'check')}"]


def report_lines(state: RunState) -> list[str]:
    """Return all findings, worst first and the cause of a failure before all others."""
    checks = [check for check in state.checks if check.layer == 1]
    failures, warnings, notes, passes = (
        [check for check in checks if check.verdict == verdict]
        for verdict in ("fail", "warn", "note", "pass")
    )
    lines = [line for check in _causes_first(failures) for line in finding_lines(check)]
    lines += [line for check in warnings for line in finding_lines(check)]
    lines += [f"note: {visible(check.what)}" for check in notes]
    return lines + [f"pass: {visible(check.what)}" for check in passes]


def finding_lines(check: CheckReported) -> list[str]:
    """Return a finding with what was expected, what to do, why, and where that is known from."""
    lines = [f"{check.verdict}: {visible(check.what)}"]
    told = (
        ("expected", check.expected),
        ("to fix", check.remedy),
        ("why", check.why),
        ("source", check.source),
    )
    return [*lines, *(f"  {name}: {visible(words)}" for name, words in told if words)]


def _causes_first(failures: list[CheckReported]) -> list[CheckReported]:
    """Return failed checks so that a cause comes before what follows from it."""
    order = {name: place for place, name in enumerate(CHECKS)}
    return sorted(failures, key=lambda check: order.get(check.check, len(order)))

"""Verdicts of layer 1, the environment."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ecotui.check_register import REGISTER
from ecotui.findings import CheckReported, Verdict
from ecotui.text import visible


def passed(check: str, what: str) -> CheckReported:
    """Return a verdict that nothing is wrong."""
    return _verdict(check, "pass", what)


def noted(check: str, what: str) -> CheckReported:
    """Return a verdict that there is nothing to judge, and why."""
    return _verdict(check, "note", what)


def warned(check: str, what: str, expected: str, remedy: str | Sequence[str]) -> CheckReported:
    """Return a verdict that the run may suffer.

    Args:
        check: Its name.
        what: What was seen.
        expected: What should have been.
        remedy: Advice in words, or the command that mends it as an argument list.
    """
    return _wrong(_verdict(check, "warn", what), expected, remedy)


def failed(
    check: str, what: str, expected: str, remedy: str | Sequence[str], source: str = ""
) -> CheckReported:
    """Return a verdict that no run can be trusted here; `source` is of the cause, if known."""
    return _wrong(_verdict(check, "fail", what), expected, remedy, source)


def _verdict(check: str, verdict: Verdict, what: str) -> CheckReported:
    return CheckReported(
        check=check, layer=1, verdict=verdict, what=visible(what), expected="", remedy=""
    )


def _wrong(
    finding: CheckReported, expected: str, remedy: str | Sequence[str], source: str = ""
) -> CheckReported:
    subject = REGISTER[finding.check]
    fix = () if isinstance(remedy, str) else tuple(remedy)
    words = remedy if isinstance(remedy, str) else shlex.join(remedy)
    return finding.model_copy(
        update={
            "expected": visible(expected),
            "remedy": visible(words),
            "why": subject.why,
            "source": visible(source or subject.source or "seen here"),
            "fix": fix,
        }
    )

"""Verdicts of layer 1, the environment."""

from __future__ import annotations

from ecotui.events import CheckReported
from ecotui.text import visible


def passed(check: str, what: str) -> CheckReported:
    """Return a verdict that nothing is wrong."""
    return CheckReported(
        check=check, layer=1, verdict="pass", what=visible(what), expected="", remedy=""
    )


def noted(check: str, what: str) -> CheckReported:
    """Return a verdict that nothing can be said, and why."""
    return CheckReported(
        check=check, layer=1, verdict="note", what=visible(what), expected="", remedy=""
    )


def warned(check: str, what: str, expected: str, remedy: str) -> CheckReported:
    """Return a verdict that the run may suffer."""
    return CheckReported(
        check=check,
        layer=1,
        verdict="warn",
        what=visible(what),
        expected=visible(expected),
        remedy=visible(remedy),
    )


def failed(check: str, what: str, expected: str, remedy: str) -> CheckReported:
    """Return a verdict that no run can be trusted here."""
    return CheckReported(
        check=check,
        layer=1,
        verdict="fail",
        what=visible(what),
        expected=visible(expected),
        remedy=visible(remedy),
    )

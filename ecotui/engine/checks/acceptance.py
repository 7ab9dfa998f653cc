"""Warnings that a configuration accepts by name; errors that it cannot."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from ecotui.engine.emit import Emit
from ecotui.events import Event
from ecotui.findings import CheckReported
from ecotui.plans import AuditReported

_Finding = TypeVar("_Finding", CheckReported, AuditReported)

CANNOT = "an error cannot be accepted"


def accepted(event: _Finding, accept: Collection[str]) -> _Finding:
    """Return a finding as it counts: an accepted warning is a note, an error stays one.

    Args:
        event: The finding.
        accept: Names of checks and of categories of the audit, as in `preflight.accept`.
    """
    name = event.category if isinstance(event, AuditReported) else event.check
    if name not in accept:
        return event
    if event.verdict == "warn":
        return event.model_copy(update={"verdict": "note", "what": f"accepted: {event.what}"})
    if event.verdict == "fail":
        return event.model_copy(update={"remedy": f"{event.remedy}; {CANNOT}"})
    return event


def accepting(emit: Emit, accept: Collection[str]) -> Emit:
    """Return what states events, findings as they count.

    Args:
        emit: Where the facts go.
        accept: Names of checks and of categories of the audit.
    """

    def state(event: Event) -> None:
        match event:
            case AuditReported():
                emit(accepted(event, accept))
            case CheckReported():
                emit(accepted(event, accept))
            case _:
                emit(event)

    return state

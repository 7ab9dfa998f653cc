"""What is known of a run before it begins, as a reader sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from ecotui.plans import (
    AuditFinished,
    AuditReported,
    Foresight,
    PlanProposed,
    PreflightRecorded,
    PreviewWritten,
)

MAX_FINDINGS = 64
MAX_EXAMPLES = 12
MAX_PREVIEWS = 32


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the audit found and what the run will take.

    Attributes:
        findings: Of the audit, one a category, in the order they came, at most 64.
        audit: How the audit went; None until it is over.
        previews: What the transforms make of photos, at most 32.
        plan: What the run will take; None until it is known.
        record: Where all of it is kept, and what was left out; None until preflight is over.
    """

    findings: tuple[AuditReported, ...] = ()
    audit: AuditFinished | None = None
    previews: tuple[PreviewWritten, ...] = ()
    plan: PlanProposed | None = None
    record: PreflightRecorded | None = None


def foreseen(outlook: Outlook, event: Foresight) -> Outlook:
    """Return the outlook after one more event."""
    match event:
        case AuditReported():
            kept = event.model_copy(update={"examples": event.examples[:MAX_EXAMPLES]})
            others = tuple(each for each in outlook.findings if each.category != event.category)
            return replace(outlook, findings=(*others, kept)[-MAX_FINDINGS:])
        case AuditFinished():
            return replace(outlook, audit=event)
        case PreviewWritten():
            return replace(outlook, previews=(*outlook.previews, event)[-MAX_PREVIEWS:])
        case PlanProposed():
            return replace(outlook, plan=event)
        case PreflightRecorded():
            return replace(outlook, record=event)
        case _ as never:
            assert_never(never)

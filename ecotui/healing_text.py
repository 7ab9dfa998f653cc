"""Incidents and rollbacks in plain English."""

from __future__ import annotations

from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.text import counted, listed, number, sentence


def care_lines(event: IncidentRecorded | RunRolledBack) -> list[str]:
    """Return what to say about an incident or a rollback."""
    if isinstance(event, IncidentRecorded):
        named = f" [{listed(event.files, limit=3)}]" if event.files else ""
        record = f" ({event.file})" if event.file else ""
        return [
            f"incident: step {event.step}: {event.what}{named}. {sentence(event.advice)}{record}"
        ]
    passed = ""
    if event.num_skipped_batches:
        passed = f", passing over {counted(event.num_skipped_batches, 'batch', 'batches')}"
    slower = ""
    if event.learning_rate_factor < 1.0:
        slower = f", with {number(event.learning_rate_factor, 3)} of the learning rate"
    return [
        f"rolled back: from step {event.from_step} to step {event.to_step}{passed}{slower}: "
        f"{event.what}. {counted(event.rollbacks_left, 'rollback')} left"
    ]

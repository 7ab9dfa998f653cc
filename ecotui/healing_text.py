"""Incidents and rollbacks in plain English."""

from __future__ import annotations

from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.text import counted, listed, sentence, slower


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
    pace = slower(event.learning_rate_factor)
    return [
        f"rolled back: from step {event.from_step} to step {event.to_step}{passed}{pace}: "
        f"{event.what}. {counted(event.rollbacks_left, 'rollback')} left"
    ]

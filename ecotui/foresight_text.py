"""What the audit found and what the run will take, in plain English."""

from __future__ import annotations

import json
import tomllib

from ecotui.plans import AuditFinished, AuditReported, PlanProposed
from ecotui.text import bytes_size, counted, duration, listed, visible


def foresight_lines(event: AuditReported | AuditFinished | PlanProposed) -> list[str]:
    """Return what to say about a finding of the audit, its end, or the plan."""
    match event:
        case AuditReported():
            return _finding(event)
        case AuditFinished():
            known = event.num_files - event.num_read
            spared = f", {known:,} unchanged since the last time" if known else ""
            return [
                f"audit: {counted(event.num_files, 'photo')} looked at in "
                f"{duration(event.seconds)}{spared}"
            ]
        case PlanProposed():
            return _plan(event)


def settings_lines(plan: PlanProposed | None) -> list[str]:
    """Return the settings that a plan proposes, as a fragment of a config; none where it has none.

    Args:
        plan: None where there is none.
    """
    written = [] if plan is None else visible_lines(plan.settings)
    if not written:
        return []
    return ["# settings that would suit it better; put them into the config:", *written]


def as_flags(settings: str) -> str:
    """Return settings written as TOML as flags of the command line; empty where they are none."""
    try:
        table = tomllib.loads(settings)
    except ValueError:
        return ""
    return " ".join(
        f"--set {visible(section)}.{visible(key)}={visible(json.dumps(value))}"
        for section, values in table.items()
        if isinstance(values, dict)
        for key, value in values.items()
    )


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text that are not empty, made harmless."""
    return [visible(line) for line in text.splitlines() if line.strip()]


def _finding(event: AuditReported) -> list[str]:
    lines = [f"{event.verdict}: {event.what}"]
    if event.examples:
        lines.append(f"  such as: {listed([each.path for each in event.examples], limit=3)}")
    if event.consequence:
        lines.append(f"  training: {event.consequence}")
    if event.remedy:
        lines.append(f"  to fix: {event.remedy}")
    return lines


def _plan(event: PlanProposed) -> list[str]:
    lines = []
    if event.run_seconds is not None and event.epoch_seconds is not None:
        lines.append(
            f"plan: {duration(event.epoch_seconds)} an epoch, {duration(event.run_seconds)} in all"
        )
    if event.peak_memory_bytes is not None:
        limit = event.memory_limit_bytes
        of = "" if limit is None else f" of {bytes_size(limit)}"
        lines.append(f"plan: {bytes_size(event.peak_memory_bytes)}{of} of memory")
    needed, free = bytes_size(event.disk_needed_bytes), bytes_size(event.disk_free_bytes)
    lines.append(f"plan: {needed} on the disk, {free} free")
    lines += [f"plan: {note}" for note in event.notes]
    flags = as_flags(event.settings)
    return [*lines, f"plan: this would suit it better: {flags}"] if flags else lines

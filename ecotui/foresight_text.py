"""What the audit found and what the run will take, in plain English."""

from __future__ import annotations

import json
import tomllib

from ecotui.plans import (
    AuditExample,
    AuditFinished,
    AuditReported,
    PlanProposed,
    PreflightRecorded,
)
from ecotui.run_state import RunState
from ecotui.text import bytes_size, counted, duration, percent, visible

MAX_SHOWN = 3
"""Examples of a finding that are told; the file of the audit has all."""


def foresight_lines(
    event: AuditReported | AuditFinished | PlanProposed | PreflightRecorded,
) -> list[str]:
    """Return what to say about a finding of the audit, its end, the plan, or what was left out."""
    match event:
        case AuditReported():
            return _finding(event)
        case AuditFinished():
            known = event.num_files - event.num_read
            spared = f", {known:,} unchanged since the last time" if known else ""
            rest = f", {event.num_left_out:,} not looked at" if event.num_left_out else ""
            return [
                f"audit: {counted(event.num_files, 'photo')} looked at in "
                f"{duration(event.seconds)}{spared}{rest}"
            ]
        case PlanProposed():
            return _plan(event)
        case PreflightRecorded():
            return [f"not looked at: {sentence}" for sentence in event.shortened]


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
    # What was looked for in vain is counted at the end, not told one by one.
    return [] if event.verdict == "pass" else finding_lines(event)


def finding_lines(event: AuditReported) -> list[str]:
    """Return a finding with its first examples, what follows from it, and what to do."""
    lines = [f"{event.verdict}: {event.what}"]
    lines += [f"  {_example(each)}" for each in event.examples[:MAX_SHOWN]]
    more = event.num_files - MAX_SHOWN
    if event.examples and more > 0:
        lines.append(f"  and {more:,} more")
    if event.consequence:
        lines.append(f"  training: {event.consequence}")
    if event.remedy:
        lines.append(f"  to fix: {event.remedy}")
    return lines


def _example(example: AuditExample) -> str:
    subject = example.path or example.label
    beside = f" = {example.other}" if example.other else ""
    detail = f" ({example.detail})" if example.detail else ""
    return f"{subject}{beside}{detail}"


def audit_lines(state: RunState) -> list[str]:
    """Return all findings of an audit, the worst first, and at the end what was fine."""
    findings = state.outlook.findings
    lines: list[str] = []
    for verdict in ("fail", "warn", "note"):
        for event in findings:
            if event.verdict == verdict:
                lines += finding_lines(event)
    num_fine = sum(event.verdict == "pass" for event in findings)
    if num_fine:
        lines.append(f"pass: {counted(num_fine, 'other kind')} of fault looked for and not found")
    if state.outlook.audit is not None:
        lines += foresight_lines(state.outlook.audit)
    return lines


def _plan(event: PlanProposed) -> list[str]:
    lines = []
    if event.run_seconds is not None and event.epoch_seconds is not None:
        spread = event.spread_fraction
        within = (
            "" if spread is None else f"; steps lay within {percent(spread, 0)} of their median"
        )
        lines.append(
            f"plan: {duration(event.epoch_seconds)} an epoch, {duration(event.run_seconds)} in "
            f"all{within}"
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

"""Events of what preflight found in the data, and of what the run will take."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event, Record
from ecotui.findings import Verdict

Bottleneck = Literal["compute", "data", "balanced", "unknown"]
"""What the pace of a run is bound by."""


class AuditExample(Record):
    """A photo that a finding of the audit is about."""

    path: str
    """Relative to the data root."""
    label: str = ""
    """Name of its class."""
    split: str = ""
    detail: str = ""
    """Why this one, in words."""
    other: str = ""
    """The photo it clashes with, relative to the data root; empty where there is none."""
    preview: str = ""
    """A picture of at most 128 pixels, relative to the run; empty where none could be made."""


class AuditReported(Event):
    """The audit has found photos of one kind, or none of it."""

    kind: Literal["audit_reported"] = "audit_reported"
    category: str
    """Stable name of the kind of finding, one section of the documentation each."""
    verdict: Verdict
    num_files: int
    """Photos concerned."""
    what: str
    """What was found, for a person."""
    consequence: str = ""
    """What training does with them."""
    remedy: str = ""
    examples: tuple[AuditExample, ...] = ()
    """The worst first; at most 12. `AuditFinished.file` lists all."""
    can_exclude: bool = False
    """Whether `ecotui audit --exclude CATEGORY` lists them."""


class AuditFinished(Event):
    """Every photo was looked at."""

    kind: Literal["audit_finished"] = "audit_finished"
    num_files: int
    num_read: int
    """Photos read now; the others had not changed since they were read before."""
    num_bytes: int
    """Of the photos read now."""
    seconds: float
    file: str
    """All findings, relative to the run."""
    num_left_out: int = 0
    """Photos that there was no time to look at, spread over the data set."""


class PreviewWritten(Event):
    """A picture was written of what the transforms make of a photo."""

    kind: Literal["preview_written"] = "preview_written"
    subject: Literal["train", "val"]
    """Whose transforms."""
    path: str
    """PNG of at most 128 pixels, relative to the run."""
    source: str
    """The photo, relative to the data root."""
    caption: str = ""
    """What is to be seen, in words."""


class PlanProposed(Event):
    """What the run will take, measured, and the settings that suit it."""

    kind: Literal["plan_proposed"] = "plan_proposed"
    batch_size: int
    """Images an optimizer step."""
    micro_batch_size: int
    """Images a forward pass."""
    workers: int
    learning_rate: float
    """Peak of the schedule."""
    peak_memory_bytes: int | None
    """Of the device, in a step of this size; null where it was not measured."""
    memory_limit_bytes: int | None
    """That may be used, the margin taken off; null where it is not known."""
    margin_fraction: float
    """Of the device's memory, left free; 0 to 1."""
    images_per_second: float | None
    """While training."""
    bottleneck: Bottleneck
    epoch_seconds: float | None
    """Validation included."""
    run_seconds: float | None
    """From the first step to the last, early stopping left aside."""
    checkpoint_bytes: int
    disk_needed_bytes: int
    """Most that the run will take on the disk at one time."""
    disk_free_bytes: int
    settings: str = ""
    """Settings that suit it better, as TOML; empty where those of the run do."""
    notes: tuple[str, ...] = ()
    """What was decided, and what was left out for lack of time, a sentence each."""
    seconds: float = 0.0
    """That measuring took."""
    spread_fraction: float | None = None
    """How far the timed steps lay from their median, 0 upwards; null where one was timed."""


class PreflightRecorded(Event):
    """Preflight is over, and all that it found is on the disk."""

    kind: Literal["preflight_recorded"] = "preflight_recorded"
    file: str
    """All verdicts, relative to the run."""
    folder: str
    """Absolute path of the run: previews and plan lie there as well."""
    level: Literal["quick", "full"]
    seconds: float
    """That audit, checks and plan took together."""
    budget_seconds: float
    shortened: tuple[str, ...] = ()
    """What was sampled or left out for lack of time and how to have it whole, a sentence each."""


Foresight = AuditReported | AuditFinished | PreviewWritten | PlanProposed | PreflightRecorded
"""What is known of a run before it begins."""

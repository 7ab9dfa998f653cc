"""Events of faults that were looked into and undone, and of the machine while it trains."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event
from ecotui.findings import Layer

Cause = Literal["data", "precision", "hardware", "model", "unknown"]
"""What an incident comes from, as far as running the batch again could tell."""


class IncidentRecorded(Event):
    """A fault was looked into, and all that is known of it written down."""

    kind: Literal["incident_recorded"] = "incident_recorded"
    incident: str
    """Its name in this run."""
    layer: Layer
    guard: str
    """The guard that found it."""
    step: int
    cause: Cause
    what: str
    """What was found out, for a person."""
    advice: str
    files: tuple[str, ...] = ()
    """Samples concerned, relative to the data root; at most 20."""
    file: str = ""
    """The whole record, relative to the run."""


class RunRolledBack(Event):
    """Training goes on from an earlier sound state; what was stated of later steps is void."""

    kind: Literal["run_rolled_back"] = "run_rolled_back"
    from_step: int
    """Where the fault was found."""
    to_step: int
    """Optimizer steps that the sound state holds."""
    epoch: int
    """Epochs done in it."""
    source: Literal["memory", "disk"]
    guard: str
    """The guard whose verdict led to it."""
    what: str
    """Why, for a person."""
    num_skipped_batches: int
    """Batches that will be passed over, so as not to meet the fault again."""
    learning_rate_factor: float
    """By which the learning rate is lower than asked for, from here on."""
    num_rollbacks: int
    """Of the run so far, this one included."""
    rollbacks_left: int


class MachineMeasured(Event):
    """How busy the machine is; at most every five seconds while it trains."""

    kind: Literal["machine_measured"] = "machine_measured"
    step: int
    cpu_fraction: float | None
    """Of all processors that may be used, 0 to 1."""
    memory_used_bytes: int | None
    """Of the host, or of the control group where that is narrower."""
    memory_total_bytes: int | None
    engine_memory_bytes: int | None
    """Of the engine and its workers, shared pages counted once where that can be told."""
    disk_free_bytes: int | None
    """Where the run lies."""
    gpu_fraction: float | None = None
    """Share of the time in which the device computes, 0 to 1; null without one."""
    gpu_memory_used_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None
    gpu_temperature_celsius: float | None = None
    gpu_power_watts: float | None = None


Care = IncidentRecorded | RunRolledBack | MachineMeasured
"""What the engine does and measures so that the run stays sound."""

"""Every fact the engine can state. Past tense, frozen, never renamed or re-used.

The loop in pseudocode, each event at its place:

    EngineStarted                           before anything heavy is imported
    StageStarted("diagnose"), CheckReported ..., StageFinished
    SetupAdvanced ...                       loading libraries, reading the data, building the model
    StageStarted("weights"), StageAdvanced ..., StageFinished     where they have to be fetched
    RunStarted                              announces the stages to come
    RunResumed                              from the second attempt on
    StageStarted("audit"), AuditReported ..., AuditFinished
    StageStarted("preflight"), CheckReported ..., PreviewWritten ..., PlanProposed, StageFinished
                                            what is no pass as it is found, passes at the end,
                                            the four sentences that sum them up first
    PreflightRecorded                       where all of it is kept, and what was left out
    StageStarted("train")
        for each epoch:
            EpochStarted
            for each step:
                StepsTaken                  all steps since the last one; at most 2 a second
                FirstStepTaken              once: what the time before it went into
                SampleSetAside              a file that could not be read, by name
                GuardTripped, GuardRecovered
                IncidentRecorded            a fault was looked into
                RunRolledBack               and undone: what was stated of later steps is void
                MachineMeasured             at most every five seconds
                LoaderRebuilt               workers that had died or hung
                CheckpointSaved             at the interval, and on request; written in the
                CheckpointVerified          background, so either may come some steps later
                SavingFailed, SavingRestored
                RunPaused, RunContinued, ConfigChanged
            StageStarted("validate"), StageAdvanced ..., StageFinished
            ValidationFinished              per class
            BestCheckpointChanged           the best one so far, as it is saved; in the background
            EpochFinished                   it is with the state that names it, and before it
            CheckpointSaved, CheckpointVerified, CheckpointDropped
    StageFinished
    StageStarted("test") ... ValidationFinished(split="test") ... StageFinished
    RunFinished
    at any time: Heartbeat, LogWritten, HealthAlerted, CommandAnswered

A short job states EngineStarted, SetupAdvanced, what it found or made
(DatasetDescribed, ExportWritten, WeightsImported), and RunFinished. A repair
examines, states RepairPlanned, then RepairStepStarted and RepairSaid for each command,
examines again, and states RepairFinished.

How a run may end:

    all epochs, or early stopping    RunFinished   exit 0
    asked to stop                    RunStopped    exit 75, resumable
    a guard gave up                  RunFailed     exit 4
    out of memory, all else tried    RunFailed     exit 6
    exception                        RunFailed     exit 1
    wrong configuration or data      RunFailed     exit 2, `discard` set: nothing was begun
    preflight says no                RunFailed     exit 3
    the environment is broken        RunFailed     exit 5
    killed, aborted, power           EngineLost    exit 1; made by readers, never written

Non-finite numbers travel as null, with the field's name in `nonfinite`. Text
that came from outside has passed `ecotui.text.visible`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ecotui.endings import TERMINAL_KINDS, EngineLost, RunFailed, RunFinished, RunStopped
from ecotui.envelope import Event, Record, Severity, SplitName
from ecotui.findings import (
    LAYER_NAMES,
    CheckReported,
    ClassScore,
    DatasetDescribed,
    GuardAction,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Layer,
    SampleSetAside,
    ValidationFinished,
    Verdict,
)
from ecotui.healing import Care
from ecotui.plans import Foresight
from ecotui.products import ExportWritten, WeightsImported
from ecotui.repairs import (
    RepairFinished,
    RepairOutcome,
    RepairPlanned,
    RepairSaid,
    RepairStep,
    RepairStepStarted,
)
from ecotui.turns import (
    BestCheckpointChanged,
    CheckpointDropped,
    CheckpointSaved,
    CheckpointVerified,
    ConfigChanged,
    Exactness,
    FirstStepTaken,
    LoaderRebuilt,
    RunContinued,
    RunPaused,
    RunResumed,
    SavingFailed,
    SavingRestored,
    TimedPart,
)

# What the lower modules hold belongs to this vocabulary: it is imported from here, except what
# `plans` and `healing` hold.
__all__ = [
    "LAYER_NAMES",
    "TERMINAL_KINDS",
    "AnyEvent",
    "BestCheckpointChanged",
    "CheckReported",
    "CheckpointDropped",
    "CheckpointSaved",
    "CheckpointVerified",
    "ClassScore",
    "ConfigChanged",
    "DatasetDescribed",
    "EngineLost",
    "Event",
    "Exactness",
    "ExportWritten",
    "FirstStepTaken",
    "GuardAction",
    "GuardRecovered",
    "GuardTripped",
    "HealthAlerted",
    "Layer",
    "LoaderRebuilt",
    "Record",
    "RepairFinished",
    "RepairOutcome",
    "RepairPlanned",
    "RepairSaid",
    "RepairStep",
    "RepairStepStarted",
    "RunContinued",
    "RunFailed",
    "RunFinished",
    "RunPaused",
    "RunResumed",
    "RunStopped",
    "SampleSetAside",
    "SavingFailed",
    "SavingRestored",
    "Severity",
    "SplitName",
    "TimedPart",
    "ValidationFinished",
    "Verdict",
    "WeightsImported",
    "event_adapter",
]


class EngineStarted(Event):
    """The engine's process is up; nothing heavy is imported yet."""

    kind: Literal["engine_started"] = "engine_started"
    run_id: str
    pid: int
    host: str
    version: str
    """Of ecotui."""
    attempt: int = 1
    """1 for a new run, one more for each resumption."""


class SetupAdvanced(Event):
    """A part of the preparation has begun (loading libraries, reading the data, ...)."""

    kind: Literal["setup_advanced"] = "setup_advanced"
    doing: str
    """What is being done, for a person."""


class RunStarted(Event):
    """Everything is built; the stages named are about to follow."""

    kind: Literal["run_started"] = "run_started"
    stages: tuple[str, ...]
    model: str
    num_parameters: int
    image_size: int
    """Side of the square input, pixels."""
    class_names: tuple[str, ...]
    """At most 100; `num_classes` is the whole count."""
    num_classes: int
    num_train: int
    num_val: int
    num_test: int
    epochs: int
    steps_per_epoch: int
    max_steps: int | None
    """Optimizer steps after which the run ends at the latest."""
    batch_size: int
    """Images an optimizer step."""
    micro_batch_size: int
    """Images a forward pass."""
    device: str
    precision: str
    metric: str
    """What chooses the best checkpoint."""
    seed: int
    target_accuracy: float | None = None
    """Validation accuracy that the run is meant to reach, 0 to 1; null where none is set."""
    deterministic: bool = True
    """Whether deterministic algorithms are asked for."""


class Heartbeat(Event):
    """The engine is alive; whether it gets anywhere is `seconds_since_progress`."""

    kind: Literal["heartbeat"] = "heartbeat"
    step: int
    seconds_since_progress: float


class StageStarted(Event):
    """A stage has begun."""

    kind: Literal["stage_started"] = "stage_started"
    stage: str
    total: int
    """How many units the stage will advance by; 0 when unknown."""
    unit: str
    """Of `total`, in the plural: images, files, steps."""


class StageAdvanced(Event):
    """A stage has done more units; at most twice a second."""

    kind: Literal["stage_advanced"] = "stage_advanced"
    stage: str
    done: int


class StageFinished(Event):
    """A stage has ended."""

    kind: Literal["stage_finished"] = "stage_finished"
    stage: str
    seconds: float


class EpochStarted(Event):
    """An epoch has begun."""

    kind: Literal["epoch_started"] = "epoch_started"
    epoch: int
    """From 1."""
    epochs: int
    steps: int
    """Optimizer steps in this epoch."""
    step: int
    """Steps of the run done so far."""


class StepsTaken(Event):
    """Optimizer steps since the last such event.

    Stated at most twice a second, more rarely by an engine that has run for long (every ten seconds
    after two days, but twenty times an epoch at least), and at an epoch's end.
    """

    kind: Literal["steps_taken"] = "steps_taken"
    epoch: int
    step: int
    """Steps of the run done so far."""
    step_in_epoch: int
    num_steps: int
    """Steps that this event covers."""
    loss: float | None
    """Mean training loss over these steps, nats."""
    accuracy: float | None
    """Top-1 over these steps, 0 to 1; null where mixed images have no single label."""
    gradient_norm: float | None
    """L2 norm of all gradients before clipping, of the last step covered."""
    learning_rate: float
    """Largest over the parameter groups."""
    images_per_second: float | None
    loader_wait_fraction: float | None
    """Share of the time spent waiting for data, 0 to 1."""


class EpochFinished(Event):
    """An epoch, its validation included, has ended."""

    kind: Literal["epoch_finished"] = "epoch_finished"
    epoch: int
    step: int
    train_loss: float | None
    train_accuracy: float | None
    seconds: float
    images_per_second: float | None
    learning_rate: float
    num_set_aside: int
    """Samples left out so far in the run."""
    lost_fraction: float | None = None
    """Share of this epoch's samples that could not be used, 0 to 1; null in older logs."""
    weights_digest: str = ""
    """Of the weights after this epoch: equal where a run was repeated to the last bit."""


class LogWritten(Event):
    """A remark in words."""

    kind: Literal["log_written"] = "log_written"
    severity: Severity
    message: str


class CommandAnswered(Event):
    """A request was accepted or refused."""

    kind: Literal["command_answered"] = "command_answered"
    command_id: str
    command: str
    accepted: bool
    why: str


AnyEvent = Annotated[
    EngineStarted
    | SetupAdvanced
    | RunStarted
    | Heartbeat
    | StageStarted
    | StageAdvanced
    | StageFinished
    | CheckReported
    | Foresight
    | EpochStarted
    | StepsTaken
    | FirstStepTaken
    | SampleSetAside
    | GuardTripped
    | GuardRecovered
    | Care
    | RunResumed
    | RunPaused
    | RunContinued
    | ConfigChanged
    | LoaderRebuilt
    | ValidationFinished
    | EpochFinished
    | CheckpointSaved
    | CheckpointVerified
    | CheckpointDropped
    | SavingFailed
    | SavingRestored
    | BestCheckpointChanged
    | HealthAlerted
    | LogWritten
    | CommandAnswered
    | DatasetDescribed
    | RepairPlanned
    | RepairStepStarted
    | RepairSaid
    | RepairFinished
    | ExportWritten
    | WeightsImported
    | RunFinished
    | RunStopped
    | RunFailed
    | EngineLost,
    Field(discriminator="kind"),
]

_adapter: TypeAdapter[AnyEvent] | None = None


def event_adapter() -> TypeAdapter[AnyEvent]:
    """Return the decoder of all kinds, built on first use (it costs about 100 ms)."""
    global _adapter  # noqa: PLW0603
    if _adapter is None:
        _adapter = TypeAdapter(AnyEvent)
    return _adapter

"""One line of plain English for an event worth a person's attention, or for how far a run is.

Pure, and shared by every way of printing; knows no stream and no terminal.
"""

from __future__ import annotations

import shlex

from ecotui.events import (
    LAYER_NAMES,
    AnyEvent,
    BestCheckpointChanged,
    CheckpointSaved,
    CheckpointVerified,
    CheckReported,
    CommandAnswered,
    ConfigChanged,
    EngineStarted,
    EpochFinished,
    FirstStepTaken,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    LogWritten,
    RepairPlanned,
    RepairSaid,
    RepairStepStarted,
    RunContinued,
    RunPaused,
    RunResumed,
    RunStarted,
    SampleSetAside,
    SavingFailed,
    SavingRestored,
    SetupAdvanced,
    StageStarted,
)
from ecotui.foresight_text import foresight_lines
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.healing_text import care_lines
from ecotui.plans import AuditFinished, AuditReported, PlanProposed, PreflightRecorded
from ecotui.state import RunState, StageProgress
from ecotui.text import bytes_size, counted, duration, listed, number, percent, sentence

MAX_NAMED_SAMPLES = 10
"""So many samples set aside are named; after that only every hundredth count is told."""
STALL_SECONDS = 60.0
"""Without progress for so long, the line says so."""


def remarks(event: AnyEvent, state: RunState) -> list[str]:  # noqa: PLR0912
    """Return what to say about an event that was just folded into the state."""
    match event:
        case EngineStarted(attempt=attempt) if attempt > 1:
            return [f"the engine has started again (attempt {attempt})"]
        case SetupAdvanced():
            return [f"preparing: {event.doing}"]
        case RunStarted():
            return _facts(event)
        case StageStarted() if len(state.stages) == 1:
            return [_stage_opening(event)]
        case CheckReported(verdict="pass") if event.part_of:
            return []  # what sums it up is told
        case CheckReported():
            return _verdict(event)
        case GuardTripped():
            return [_trip(event)]
        case GuardRecovered():
            return [f"recovered: layer {event.layer} ({LAYER_NAMES[event.layer]}): {event.what}"]
        case RunResumed():
            return _resumption(event)
        case EpochFinished():
            return [_epoch(event, state)]
        case BestCheckpointChanged():
            return [
                f"new best: validation accuracy {percent(event.accuracy)}, macro F1 "
                f"{number(event.macro_f1)}, saved as {event.path}"
            ]
        case CheckpointSaved(reason="request" | "stop"):
            return [f"checkpoint saved: {event.path}"]
        case SampleSetAside():
            return _set_aside(event, state.num_set_aside)
        case HealthAlerted():
            return [f"{event.severity}: {event.message} ({event.code}). {sentence(event.advice)}"]
        case LogWritten():
            return [f"{event.severity}: {event.message}"]
        case CommandAnswered(accepted=False):
            return [f"refused: {event.command}: {event.why}"]
        case RepairPlanned():
            return _plan(event)
        case RepairStepStarted():
            return [f"step {event.number}: {shlex.join(event.argv)}"]
        case RepairSaid():
            return [f"  | {event.line}"]
        case AuditReported() | AuditFinished() | PlanProposed() | PreflightRecorded():
            return foresight_lines(event)
        case IncidentRecorded() | RunRolledBack():
            return care_lines(event)
        case _:
            return _turn(event)


def _turn(event: AnyEvent) -> list[str]:
    """Tell what became of the run on its way: paused, changed, saved or not."""
    match event:
        case RunPaused():
            freed = "; the accelerator's memory is free" if event.memory_freed else ""
            return [f"paused at step {event.step}: {event.why}{freed}"]
        case RunContinued():
            return [f"going on at step {event.step} after {duration(event.seconds)}"]
        case ConfigChanged():
            return [
                f"changed at step {event.step}: {event.key} from {event.old} to {event.new} "
                f"({event.why})"
            ]
        case LoaderRebuilt():
            return [
                f"warning: step {event.step}: {event.what}; the loader was started anew at "
                f"the same batch with {counted(event.workers, 'worker')}"
            ]
        case SavingFailed():
            stands = event.last_checkpoint or "none"
            waits = "; training waits until it can be saved" if event.waits else ""
            return [
                f"critical: not saving: step {event.step}: {event.what}{waits}. "
                f"{sentence(event.remedy)}. Last checkpoint: {stands}"
            ]
        case SavingRestored():
            return [f"saving again at step {event.step}"]
        case FirstStepTaken():
            parts = ", ".join(f"{part.name} {part.seconds:.1f} s" for part in event.parts)
            return [f"the first step was done after {event.seconds:.1f} s: {parts}"]
        case CheckpointVerified(ok=False):
            return [f"critical: checkpoint {event.path} cannot be relied on: {event.what}"]
        case _:
            return []


def step_limit(state: RunState) -> str:
    """Return where `train.max_steps` ends the run before its epochs do; empty elsewhere."""
    return "" if state.step_limit is None else f", ends at step {state.step_limit:,}"


def epochs_done(state: RunState) -> tuple[float, float]:
    """Return how many epochs are done, and how many the run takes, as a bar shows them.

    Where a limit of steps ends the run within an epoch, it takes only a part of that one.
    """
    share = state.step_in_epoch / state.epoch_steps if state.epoch_steps else 0.0
    total = float(state.epochs)
    if state.step_limit is not None and state.facts is not None:
        total = state.step_limit / max(1, state.facts.steps_per_epoch)
    return max(0.0, state.epoch - 1 + share), max(total, 1.0 if state.step_limit is None else 0.01)


def progress(state: RunState) -> str:
    """Return how far the run is, on one line."""
    stage = state.stage
    if state.phase == "setup" and stage is None:
        text = f"preparing: {state.doing}" if state.doing else "starting"
    elif stage is not None and stage.name != "train":
        text = stage_progress(stage)
    else:
        text = (
            f"epoch {state.epoch}/{state.epochs_planned}, "
            f"step {state.step_in_epoch}/{state.epoch_steps_planned}: "
            f"{scores(state)}, {pace(state)}{step_limit(state)}"
        )
    if state.standing.paused is not None:
        return f"{text}; paused: {state.standing.paused.why}"
    if state.standing.not_saving is not None:
        text += "; NOT SAVING"
    if state.seconds_since_progress >= STALL_SECONDS:
        text += f"; no progress for {duration(state.seconds_since_progress)}"
    return text


def scores(state: RunState) -> str:
    """Return the current training loss and accuracy."""
    text = f"loss {number(state.loss)}"
    return text if state.accuracy is None else f"{text}, accuracy {percent(state.accuracy)}"


def pace(state: RunState) -> str:
    """Return images a second, and the time left of the run."""
    speed = "?" if state.images_per_second is None else f"{state.images_per_second:,.0f}"
    left = state.seconds_left
    return f"{speed} images/s" + ("" if left is None else f", {duration(left)} left")


def stage_progress(stage: StageProgress) -> str:
    """Return how far a stage is, in its own units."""
    if stage.unit == "bytes":
        whole = f" of {bytes_size(stage.total)}" if stage.total else ""
        return f"{stage.name}: {bytes_size(stage.done)}{whole}"
    of = f"/{stage.total:,}" if stage.total else ""
    return f"{stage.name}: {stage.done:,}{of} {stage.unit}"


def _facts(event: RunStarted) -> list[str]:
    limit = "" if event.max_steps is None else f", at most {counted(event.max_steps, 'step')}"
    return [
        f"model {event.model}: {event.num_parameters / 1e6:,.1f} million parameters, "
        f"{event.image_size} px, {counted(event.num_classes, 'class', 'classes')}",
        f"images: {event.num_train:,} to train on, {event.num_val:,} to validate, "
        f"{event.num_test:,} to test",
        f"plan: {counted(event.epochs, 'epoch')} of {counted(event.steps_per_epoch, 'step')} of "
        f"{counted(event.batch_size, 'image')}{limit}, on {event.device} in {event.precision}",
    ]


def _stage_opening(event: StageStarted) -> str:
    size = bytes_size(event.total) if event.unit == "bytes" else f"{event.total:,} {event.unit}"
    return f"stage: {event.stage}" + (f" ({size})" if event.total else "")


def _verdict(event: CheckReported) -> list[str]:
    lines = [f"{event.verdict}: {event.what}"]
    if event.expected:
        lines.append(f"  expected: {event.expected}")
    if event.remedy:
        lines.append(f"  to fix: {event.remedy}")
    return lines


def _plan(event: RepairPlanned) -> list[str]:
    lines = []
    if event.steps:
        lines.append(f"what would mend it: {counted(len(event.steps), 'command')}")
    for place, step in enumerate(event.steps, start=1):
        lines.append(f"  {place}. {shlex.join(step.argv)}")
        lines.append(f"     because: {step.why}")
    if event.packages_before:
        lines.append(f"  there now: {listed(event.packages_before, limit=20)}")
    return lines


def _trip(event: GuardTripped) -> str:
    done = {
        "none": "",
        "skip_sample": "; sample set aside",
        "skip_batch": "; batch skipped",
        "shrink_micro_batch": "; trying again in smaller parts",
        "rollback": "; going back to a sound state",
        "pause": "; pausing the run",
        "stop": "; stopping the run",
    }[event.action]
    named = f" [{listed(event.files, limit=3)}]" if event.files else ""
    return (
        f"{event.severity}: layer {event.layer} ({LAYER_NAMES[event.layer]}), step {event.step}: "
        f"{event.what}{done}{named}. {sentence(event.advice)}"
    ).rstrip()


def _resumption(event: RunResumed) -> list[str]:
    differences = [f"  other than before: {each}" for each in event.differences]
    if event.checkpoint is None:
        return [f"resumed (attempt {event.attempt}): {event.note}", *differences]
    return [
        f"resumed from step {event.from_step} (attempt {event.attempt}, {event.checkpoint}): "
        f"{event.note}",
        *differences,
    ]


def _epoch(event: EpochFinished, state: RunState) -> str:
    text = f"epoch {event.epoch}/{state.epochs}: train loss {number(event.train_loss)}"
    if event.train_accuracy is not None:
        text += f", accuracy {percent(event.train_accuracy)}"
    seen = state.validation
    if seen is not None and seen.epoch == event.epoch:
        text += f"; validation accuracy {percent(seen.accuracy)}, macro F1 {number(seen.macro_f1)}"
    return f"{text}; {duration(event.seconds)}"


def _set_aside(event: SampleSetAside, count: int) -> list[str]:
    if count <= MAX_NAMED_SAMPLES:
        return [f"set aside: {event.path} ({event.reason})"]
    if count % 100 == 0:
        return [f"set aside so far: {counted(count, 'sample')}, the last one {event.path}"]
    return []

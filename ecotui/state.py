"""The pure fold that makes a bounded `RunState` from events.

The one meaning of the log, shared by every face. Reads no clock and does no
I/O; knows nothing of how it is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, assert_never

from ecotui.events import (
    AnyEvent,
    BestCheckpointChanged,
    CheckpointDropped,
    CheckpointSaved,
    CheckpointVerified,
    CheckReported,
    CommandAnswered,
    ConfigChanged,
    DatasetDescribed,
    EngineLost,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    ExportWritten,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    LoaderRebuilt,
    LogWritten,
    RunContinued,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    SampleSetAside,
    SavingFailed,
    SavingRestored,
    SetupAdvanced,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    ValidationFinished,
    WeightsImported,
)
from ecotui.healing import Care, IncidentRecorded, RunRolledBack
from ecotui.layers import LayerStatus, at_rest, judged, marked, on_watch, settled
from ecotui.milestones import reached
from ecotui.outlook import foreseen
from ecotui.plans import Foresight
from ecotui.repair_log import Repairing, repaired
from ecotui.run_state import Ending, Phase, RunState
from ecotui.stages import StageProgress, advanced, closed
from ecotui.standing import Alert, turned
from ecotui.upkeep import kept_up

__all__ = ["Alert", "Ending", "Phase", "RunState", "StageProgress", "fold"]

MAX_REMARKS = 200
"""Alerts, samples set aside and log remarks kept, each; older ones are only counted."""
MAX_CHECKPOINTS = 64
MAX_CLASSES = 100
MAX_OPEN_STAGES = 8

_T = TypeVar("_T")


def fold(state: RunState, event: AnyEvent) -> RunState:  # noqa: PLR0912, PLR0915
    """Return the state after one more event.

    An ending absorbs: only the start of a later attempt changes anything after it.
    """
    if state.ending is not None and not _reopens(state, event):
        return state
    if not isinstance(event, StepsTaken):  # most events: spared a second copy of the state
        state = replace(state, heard_at=event.at)
    milestones = reached(state.milestones, event)
    if milestones is not state.milestones:
        state = replace(state, milestones=milestones)
    if isinstance(event, Foresight):
        return replace(state, outlook=foreseen(state.outlook, event))
    if isinstance(event, Repairing):
        return replace(state, repair=repaired(state.repair, event))
    if isinstance(event, Care):
        return _cared(state, event)
    match event:
        case StepsTaken():
            return _stepped(state, event)
        case Heartbeat():
            return replace(state, seconds_since_progress=event.seconds_since_progress)
        case StageAdvanced():
            return replace(state, stages=advanced(state.stages, event))
        case StageStarted():
            opened = StageProgress(event.stage, event.total, event.unit, since=event.at)
            # The environment is examined again after a repair: the last verdicts count.
            is_anew = event.stage == "diagnose"
            return replace(
                state,
                checks=() if is_anew else state.checks,
                stages=_kept(state.stages, opened, MAX_OPEN_STAGES),
                layers=on_watch(at_rest() if is_anew else state.layers, event.stage),
            )
        case StageFinished():
            return replace(state, stages=closed(state.stages, event.stage))
        case EngineStarted():
            return _begun(state, event)
        case SetupAdvanced():
            return replace(state, doing=event.doing)
        case RunStarted():
            facts = event.model_copy(update={"class_names": event.class_names[:MAX_CLASSES]})
            return replace(state, phase="running", doing="", facts=facts, epochs=event.epochs)
        case EpochStarted():
            return _epoch_begun(state, event)
        case EpochFinished():
            return replace(state, epoch=event.epoch, step=event.step, last_epoch=event)
        case ValidationFinished():
            return _validated(state, event)
        case BestCheckpointChanged():
            return _bettered(state, event)
        case CheckpointSaved():
            saved = _kept(state.checkpoints, event, MAX_CHECKPOINTS)
            return replace(state, checkpoints=saved, last_checkpoint=event.path)
        case CheckpointDropped():
            left = tuple(saved for saved in state.checkpoints if saved.path != event.path)
            return replace(state, checkpoints=left, standing=turned(state.standing, event))
        case ConfigChanged():
            return _changed(state, event)
        case LoaderRebuilt():
            layers = marked(state.layers, 4, "acted", event.what)
            return _alerted(replace(state, layers=layers), event)
        case SavingFailed() | SavingRestored():
            return _alerted(state, event)
        case RunPaused() | RunContinued() | CheckpointVerified():
            return replace(state, standing=turned(state.standing, event))
        case SampleSetAside():
            aside = _kept(state.set_aside, event, MAX_REMARKS)
            return replace(
                state,
                set_aside=aside,
                num_set_aside=state.num_set_aside + 1,
                layers=marked(state.layers, 4, "acted", f"set aside: {event.path}"),
            )
        case CheckReported():
            return replace(
                state,
                checks=_kept(state.checks, event, MAX_REMARKS),
                layers=judged(state.layers, event),
            )
        case GuardTripped():
            status: LayerStatus = "tripped" if event.action == "stop" else "acted"
            return replace(
                state,
                alerts=_kept(state.alerts, event, MAX_REMARKS),
                num_alerts=state.num_alerts + 1,
                layers=marked(state.layers, event.layer, status, event.what),
            )
        case GuardRecovered():
            return replace(state, alerts=_kept(state.alerts, event, MAX_REMARKS))
        case RunResumed():
            return _resumed(state, event)
        case HealthAlerted():
            alerts = _kept(state.alerts, event, MAX_REMARKS)
            return replace(state, alerts=alerts, num_alerts=state.num_alerts + 1)
        case LogWritten():
            logs = _kept(state.logs, event, MAX_REMARKS)
            return replace(state, logs=logs, num_logs=state.num_logs + 1)
        case CommandAnswered():
            return replace(state, answer=event)
        case DatasetDescribed():
            described = {"class_names": event.class_names[:MAX_CLASSES]}
            return replace(state, description=event.model_copy(update=described))
        case ExportWritten():
            return replace(state, export=event)
        case WeightsImported():
            return replace(state, imported=event)
        case RunFinished():
            layers = settled(state.layers)
            return replace(state, phase="finished", ending=event, stages=(), layers=layers)
        case RunStopped():
            step = max(state.step, event.step)
            return replace(state, phase="stopped", ending=event, stages=(), step=step)
        case RunFailed():
            return replace(state, phase="failed", ending=event, stages=())
        case EngineLost():
            return replace(state, phase="lost", ending=event, stages=())
        case _ as never:
            assert_never(never)


def _reopens(state: RunState, event: AnyEvent) -> bool:
    return isinstance(event, EngineStarted) and event.attempt > state.attempt


def _begun(state: RunState, event: EngineStarted) -> RunState:
    return replace(
        state,
        run_id=event.run_id,
        attempt=event.attempt,
        phase="setup",
        doing="",
        stages=(),
        checks=(),
        layers=at_rest(),
        ending=None,
        pace_start=None,
        seconds_since_progress=0.0,
        standing=state.standing.anew(),
    )


def _alerted(
    state: RunState, event: SavingFailed | SavingRestored | LoaderRebuilt | RunResumed
) -> RunState:
    return replace(
        state,
        alerts=_kept(state.alerts, event, MAX_REMARKS),
        num_alerts=state.num_alerts + isinstance(event, SavingFailed | LoaderRebuilt),
        standing=turned(state.standing, event),
    )


def _changed(state: RunState, event: ConfigChanged) -> RunState:
    """A setting that the facts name is another one in them too."""
    facts, epochs = state.facts, state.epochs
    if event.key == "train.epochs" and event.new.isdecimal():
        epochs = int(event.new)
        facts = None if facts is None else facts.model_copy(update={"epochs": epochs})
    return replace(state, facts=facts, epochs=epochs, standing=turned(state.standing, event))


def _resumed(state: RunState, event: RunResumed) -> RunState:
    # Newer ones were removed or are damaged: a run goes on from the newest that it can.
    left = tuple(saved for saved in state.checkpoints if saved.step <= event.from_step)
    state = replace(state, checkpoints=left)
    return _gone_back(_alerted(state, event), event.from_step, event.epoch)


def _cared(state: RunState, event: Care) -> RunState:
    state = replace(state, upkeep=kept_up(state.upkeep, event))
    if isinstance(event, RunRolledBack):
        state = _gone_back(state, event.to_step, event.epoch)
    if not isinstance(event, IncidentRecorded | RunRolledBack):
        return state
    alerts = _kept(state.alerts, event, MAX_REMARKS)
    return replace(state, alerts=alerts, num_alerts=state.num_alerts + 1)


def _gone_back(state: RunState, step: int, epoch: int) -> RunState:
    """What was stated of steps after this one has not happened any more."""
    return replace(
        state,
        step=step,
        epoch=epoch,
        train_loss=state.train_loss.truncated(step),
        train_accuracy=state.train_accuracy.truncated(step),
        val_loss=state.val_loss.truncated(step),
        val_accuracy=state.val_accuracy.truncated(step),
        macro_f1=state.macro_f1.truncated(step),
        learning_rates=state.learning_rates.truncated(step),
        gradient_norms=state.gradient_norms.truncated(step),
    )


def _epoch_begun(state: RunState, event: EpochStarted) -> RunState:
    return replace(
        state,
        epoch=event.epoch,
        epochs=event.epochs,
        epoch_steps=event.steps,
        step_in_epoch=0,
        step=event.step,
    )


def _stepped(state: RunState, event: StepsTaken) -> RunState:
    return replace(
        state,
        heard_at=event.at,
        epoch=event.epoch,
        step=event.step,
        step_in_epoch=event.step_in_epoch,
        loss=event.loss,
        accuracy=event.accuracy,
        gradient_norm=event.gradient_norm,
        learning_rate=event.learning_rate,
        images_per_second=event.images_per_second,
        loader_wait_fraction=event.loader_wait_fraction,
        seconds_since_progress=0.0,
        pace_start=state.pace_start or (event.step, event.at),
        train_loss=state.train_loss.added(event.step, event.loss),
        train_accuracy=state.train_accuracy.added(event.step, event.accuracy),
        learning_rates=state.learning_rates.added(event.step, event.learning_rate),
        gradient_norms=state.gradient_norms.added(event.step, event.gradient_norm),
    )


def _validated(state: RunState, event: ValidationFinished) -> RunState:
    event = event.model_copy(update={"per_class": event.per_class[:MAX_CLASSES]})
    if event.split == "test":
        return replace(state, test=event)
    if event.split == "train":
        return state
    return replace(
        state,
        validation=event,
        val_loss=state.val_loss.added(event.step, event.loss),
        val_accuracy=state.val_accuracy.added(event.step, event.accuracy),
        macro_f1=state.macro_f1.added(event.step, event.macro_f1),
    )


def _bettered(state: RunState, event: BestCheckpointChanged) -> RunState:
    validation = state.validation
    same = validation is not None and validation.epoch == event.epoch
    return replace(state, best=event, best_validation=validation if same else None)


def _kept(earlier: tuple[_T, ...], newest: _T, limit: int) -> tuple[_T, ...]:
    return (*earlier, newest)[-limit:]

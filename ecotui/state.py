"""The pure fold that makes a bounded `RunState` from events.

The one meaning of the log, shared by every face. Reads no clock and does no
I/O; knows nothing of how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from ecotui.events import (
    AnyEvent,
    BestCheckpointChanged,
    CheckpointDropped,
    CheckpointSaved,
    CheckReported,
    CommandAnswered,
    ConfigChanged,
    DatasetDescribed,
    EngineLost,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    Event,
    ExportWritten,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    LoaderRebuilt,
    LogWritten,
    RunFailed,
    RunFinished,
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
from ecotui.healing import IncidentRecorded, MachineMeasured, RunRolledBack
from ecotui.layers import LayerStatus, at_rest, judged, marked, on_watch, settled
from ecotui.milestones import reached
from ecotui.outlook import foreseen
from ecotui.plans import Foresight
from ecotui.repair_log import Repairing, repaired
from ecotui.run_state import Ending, Phase, RunState, overwritten, replace
from ecotui.stages import StageProgress, advanced, closed
from ecotui.standing import Alert, PlainTurn, turned
from ecotui.upkeep import kept_up

__all__ = ["Alert", "Ending", "Phase", "RunState", "StageProgress", "fold"]

MAX_REMARKS = 200
"""Alerts, samples set aside and log remarks kept, each; older ones are only counted."""
MAX_CHECKPOINTS = 64
MAX_CLASSES = 100
MAX_OPEN_STAGES = 8

_T = TypeVar("_T")


def fold(state: RunState, event: AnyEvent) -> RunState:
    """Return the state after one more event.

    An ending absorbs: only the start of a later attempt changes anything after it.
    """
    if state.ending is not None and not _reopens(state, event):
        return state
    after = _FOLDS[type(event)](state, event)
    mine = replace(state) if after is state else after
    return overwritten(mine, heard_at=event.at, milestones=reached(state.milestones, event))


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


def _heard(state: RunState, event: Heartbeat) -> RunState:
    return replace(state, seconds_since_progress=event.seconds_since_progress)


def _foreseen(state: RunState, event: Foresight) -> RunState:
    return replace(state, outlook=foreseen(state.outlook, event))


def _repaired(state: RunState, event: Repairing) -> RunState:
    return replace(state, repair=repaired(state.repair, event))


def _prepared(state: RunState, event: SetupAdvanced) -> RunState:
    return replace(state, doing=event.doing)


def _built(state: RunState, event: RunStarted) -> RunState:
    facts = event.model_copy(update={"class_names": event.class_names[:MAX_CLASSES]})
    return replace(state, phase="running", doing="", facts=facts, epochs=event.epochs)


def _stage_begun(state: RunState, event: StageStarted) -> RunState:
    opened = StageProgress(event.stage, event.total, event.unit, since=event.at)
    # The environment is examined again after a repair: the last verdicts count.
    is_anew = event.stage == "diagnose"
    return replace(
        state,
        checks=() if is_anew else state.checks,
        stages=_kept(state.stages, opened, MAX_OPEN_STAGES),
        layers=on_watch(at_rest() if is_anew else state.layers, event.stage),
    )


def _stage_advanced(state: RunState, event: StageAdvanced) -> RunState:
    return replace(state, stages=advanced(state.stages, event))


def _stage_ended(state: RunState, event: StageFinished) -> RunState:
    return replace(state, stages=closed(state.stages, event.stage))


def _checked(state: RunState, event: CheckReported) -> RunState:
    checks = _kept(state.checks, event, MAX_REMARKS)
    return replace(state, checks=checks, layers=judged(state.layers, event))


def _tripped(state: RunState, event: GuardTripped) -> RunState:
    status: LayerStatus = "tripped" if event.action == "stop" else "acted"
    return replace(
        state,
        alerts=_kept(state.alerts, event, MAX_REMARKS),
        num_alerts=state.num_alerts + 1,
        layers=marked(state.layers, event.layer, status, event.what),
    )


def _recovered(state: RunState, event: GuardRecovered) -> RunState:
    return replace(state, alerts=_kept(state.alerts, event, MAX_REMARKS))


def _warned(state: RunState, event: HealthAlerted) -> RunState:
    alerts = _kept(state.alerts, event, MAX_REMARKS)
    return replace(state, alerts=alerts, num_alerts=state.num_alerts + 1)


def _left_out(state: RunState, event: SampleSetAside) -> RunState:
    return replace(
        state,
        set_aside=_kept(state.set_aside, event, MAX_REMARKS),
        num_set_aside=state.num_set_aside + 1,
        layers=marked(state.layers, 4, "acted", f"set aside: {event.path}"),
    )


def _remarked(state: RunState, event: LogWritten) -> RunState:
    return replace(state, logs=_kept(state.logs, event, MAX_REMARKS), num_logs=state.num_logs + 1)


def _saved(state: RunState, event: CheckpointSaved) -> RunState:
    saved = _kept(state.checkpoints, event, MAX_CHECKPOINTS)
    return replace(state, checkpoints=saved, last_checkpoint=event.path)


def _dropped(state: RunState, event: CheckpointDropped) -> RunState:
    left = tuple(saved for saved in state.checkpoints if saved.path != event.path)
    return replace(state, checkpoints=left, standing=turned(state.standing, event))


def _turned(state: RunState, event: PlainTurn) -> RunState:
    return replace(state, standing=turned(state.standing, event))


def _reloaded(state: RunState, event: LoaderRebuilt) -> RunState:
    layers = marked(state.layers, 4, "acted", event.what)
    return _alerted(replace(state, layers=layers), event)


def _answered(state: RunState, event: CommandAnswered) -> RunState:
    return replace(state, answer=event)


def _described(state: RunState, event: DatasetDescribed) -> RunState:
    described = {"class_names": event.class_names[:MAX_CLASSES]}
    return replace(state, description=event.model_copy(update=described))


def _exported(state: RunState, event: ExportWritten) -> RunState:
    return replace(state, export=event)


def _imported(state: RunState, event: WeightsImported) -> RunState:
    return replace(state, imported=event)


def _epoch_ended(state: RunState, event: EpochFinished) -> RunState:
    return replace(state, epoch=event.epoch, step=event.step, last_epoch=event)


def _finished(state: RunState, event: RunFinished) -> RunState:
    rest = settled(state.layers)
    return replace(state, phase="finished", ending=event, stages=(), layers=rest)


def _stopped(state: RunState, event: RunStopped) -> RunState:
    step = max(state.step, event.step)
    return replace(state, phase="stopped", ending=event, stages=(), step=step)


def _failed(state: RunState, event: RunFailed) -> RunState:
    return replace(state, phase="failed", ending=event, stages=())


def _lost(state: RunState, event: EngineLost) -> RunState:
    return replace(state, phase="lost", ending=event, stages=())


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
    # Newer ones were removed or are damaged.
    left = tuple(saved for saved in state.checkpoints if saved.step <= event.from_step)
    alerted = _alerted(replace(state, checkpoints=left), event)
    return _gone_back(alerted, event.from_step, event.epoch)


def _measured(state: RunState, event: MachineMeasured) -> RunState:
    return replace(state, upkeep=kept_up(state.upkeep, event))


def _cared(state: RunState, event: IncidentRecorded | RunRolledBack) -> RunState:
    return replace(
        state,
        upkeep=kept_up(state.upkeep, event),
        alerts=_kept(state.alerts, event, MAX_REMARKS),
        num_alerts=state.num_alerts + 1,
    )


def _rolled_back(state: RunState, event: RunRolledBack) -> RunState:
    return _gone_back(_cared(state, event), event.to_step, event.epoch)


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
    return (*earlier[1 - limit :], newest)


_FOLDS: dict[type[Event], Callable[[RunState, Any], RunState]] = {
    EngineStarted: _begun,
    SetupAdvanced: _prepared,
    RunStarted: _built,
    Heartbeat: _heard,
    StageStarted: _stage_begun,
    StageAdvanced: _stage_advanced,
    StageFinished: _stage_ended,
    CheckReported: _checked,
    **dict.fromkeys(get_args(Foresight), _foreseen),
    EpochStarted: _epoch_begun,
    StepsTaken: _stepped,
    SampleSetAside: _left_out,
    GuardTripped: _tripped,
    GuardRecovered: _recovered,
    IncidentRecorded: _cared,
    RunRolledBack: _rolled_back,
    MachineMeasured: _measured,
    RunResumed: _resumed,
    **dict.fromkeys(get_args(PlainTurn), _turned),
    ConfigChanged: _changed,
    LoaderRebuilt: _reloaded,
    ValidationFinished: _validated,
    EpochFinished: _epoch_ended,
    CheckpointSaved: _saved,
    CheckpointDropped: _dropped,
    **dict.fromkeys((SavingFailed, SavingRestored), _alerted),
    BestCheckpointChanged: _bettered,
    HealthAlerted: _warned,
    LogWritten: _remarked,
    CommandAnswered: _answered,
    DatasetDescribed: _described,
    **dict.fromkeys(get_args(Repairing), _repaired),
    ExportWritten: _exported,
    WeightsImported: _imported,
    RunFinished: _finished,
    RunStopped: _stopped,
    RunFailed: _failed,
    EngineLost: _lost,
}
"""What each kind of event changes, by its type: pydantic's classes are slow to say `isinstance`."""

"""How a run stands, as one object: what `ecotui status --json` prints, field by field."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ecotui import lock
from ecotui.alert_register import page_of
from ecotui.envelope import Severity
from ecotui.events import (
    EngineLost,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStopped,
    SavingFailed,
    SavingRestored,
    ValidationFinished,
)
from ecotui.guard_register import recovery_words
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.health import Level, health, worst
from ecotui.paths import RunDir
from ecotui.scorecard import ItemStatus, Period, scorecard
from ecotui.state import Alert, Ending, RunState
from ecotui.summary import exit_code
from ecotui.text import slower, visible

MAX_ALERTS = 10
Condition = Literal["setup", "running", "paused", "finished", "stopped", "failed", "lost"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Progress(_Part):
    """How far the run is."""

    stage: str
    """The stage under way; empty where there is none."""
    epoch: int
    """Begun, from 1."""
    epochs: int
    """Planned."""
    step: int
    steps_planned: int
    """0 where unknown."""
    fraction: float | None
    """Of the steps planned, 0 to 1."""
    seconds_left: float | None
    """At the pace so far; null where the run does not train."""
    images_per_second: float | None
    seconds_since_progress: float


class Score(_Part):
    """Figures of one evaluation."""

    epoch: int
    loss: float | None
    """Nats."""
    accuracy: float
    macro_f1: float


class Best(_Part):
    """The best model so far."""

    epoch: int
    metric: str
    """That chose it."""
    value: float
    accuracy: float
    macro_f1: float
    path: str
    """Absolute."""


class Scores(_Part):
    """How good the model is."""

    train_loss: float | None
    train_accuracy: float | None
    learning_rate: float | None
    validation: Score | None
    """The last one."""
    best: Best | None
    test: Score | None


class SignShown(_Part):
    """A sign of health."""

    level: Level
    name: str
    what: str
    figure: str
    advice: str
    page: str


class ItemShown(_Part):
    """An item of the scorecard."""

    period: Period
    name: str
    status: ItemStatus
    what: str
    figure: str


class AlertShown(_Part):
    """An alert."""

    at: float
    """Unix seconds."""
    step: int | None
    severity: Severity
    name: str
    """Of the guard, or the code of the alert."""
    message: str
    advice: str
    page: str


class End(_Part):
    """How the last attempt ended."""

    kind: str
    """Of the event."""
    what: str
    remedy: str
    exit_code: int
    """What a command that followed the run exits with."""


class Files(_Part):
    """Where the files of the run are, absolute."""

    run: str
    log: str
    events: str
    last_checkpoint: str | None
    quarantine: str | None
    """Null where nothing was set aside."""
    stop_report: str | None = None
    """Why a guard has stopped the run, and all that was tried; null where none has."""


class StatusReport(_Part):
    """How a run stands."""

    version: Literal[1] = 1
    """Of this form; fields are added without a new one."""
    run: str
    state: Condition
    is_alive: bool
    """Whether an engine is at work."""
    attempt: int
    why: str
    """What it waits for where it is paused, or why it cannot be saved."""
    progress: Progress
    scores: Scores
    worst: Level | None
    """The gravest level among `health`; null where nothing is known yet."""
    health: tuple[SignShown, ...]
    scorecard: tuple[ItemShown, ...]
    alerts: tuple[AlertShown, ...]
    """The last ten, oldest first."""
    num_alerts: int
    """All of them, those of earlier attempts included."""
    ending: End | None
    files: Files


def report_of(state: RunState, run: RunDir) -> StatusReport:
    """Return how a run stands."""
    signs = health(state)
    standing = state.standing
    why = "" if standing.paused is None else standing.paused.why
    if standing.not_saving is not None:
        why = f"not saving: {standing.not_saving.what}"
    condition: Condition = state.phase
    if standing.paused is not None and state.ending is None:
        condition = "paused"
    return StatusReport(
        run=visible(run.run_id),
        state=condition,
        is_alive=lock.is_held(run.lock),
        attempt=state.attempt,
        why=visible(why) if state.ending is None else "",
        progress=_progress(state),
        scores=_scores(state, run),
        worst=worst(signs),
        health=tuple(
            SignShown(
                level=sign.level,
                name=sign.name,
                what=visible(sign.what),
                figure=visible(sign.figure),
                advice=visible(sign.advice),
                page=sign.page,
            )
            for sign in signs
        ),
        scorecard=tuple(
            ItemShown(
                period=item.period,
                name=item.name,
                status=item.status,
                what=visible(item.what),
                figure=visible(item.figure),
            )
            for item in scorecard(state)
        ),
        alerts=tuple(alert_of(alert) for alert in state.alerts[-MAX_ALERTS:]),
        num_alerts=state.num_alerts,
        ending=None if state.ending is None else _end(state.ending),
        files=_files(state, run),
    )


def alert_of(alert: Alert) -> AlertShown:
    """Return an alert of any kind in one form."""
    step: int | None = getattr(alert, "step", None)
    severity, name, message, advice = _told(alert)
    return AlertShown(
        at=alert.at,
        step=step,
        severity=severity,
        name=visible(name),
        message=visible(message),
        advice=visible(advice),
        page=page_of(name),
    )


def _told(alert: Alert) -> tuple[Severity, str, str, str]:
    """Return severity, name, message and advice of an alert."""
    match alert:
        case GuardTripped():
            return alert.severity, alert.guard, alert.what, alert.advice
        case GuardRecovered():
            return "note", alert.guard, recovery_words(alert.guard, alert.what), ""
        case HealthAlerted():
            return alert.severity, alert.code, alert.message, alert.advice
        case SavingFailed():
            return "critical", "saving_failed", alert.what, alert.remedy
        case SavingRestored():
            return "note", "saving_failed", "checkpoints can be written again", ""
        case LoaderRebuilt():
            return "warning", "loader_rebuilt", alert.what, ""
        case RunResumed():
            return "note", "run_resumed", f"from step {alert.from_step}: {alert.note}", ""
        case IncidentRecorded():
            return "warning", alert.guard, alert.what, alert.advice
        case RunRolledBack():
            at = f"back to step {alert.to_step}{slower(alert.learning_rate_factor)}"
            return "warning", alert.guard, f"{at}: {alert.what}", ""


def _progress(state: RunState) -> Progress:
    planned = state.steps_planned
    is_at_work = state.ending is None and state.phase == "running"
    return Progress(
        stage="" if state.stage is None else visible(state.stage.name),
        epoch=state.epoch,
        epochs=state.epochs,
        step=state.step,
        steps_planned=planned,
        fraction=min(1.0, state.step / planned) if planned else None,
        seconds_left=state.seconds_left if is_at_work else None,
        images_per_second=state.images_per_second if is_at_work else None,
        seconds_since_progress=state.seconds_since_progress if is_at_work else 0.0,
    )


def _scores(state: RunState, run: RunDir) -> Scores:
    best = state.best
    return Scores(
        train_loss=state.loss,
        train_accuracy=state.accuracy,
        learning_rate=state.learning_rate,
        validation=_score(state.validation),
        best=None
        if best is None
        else Best(
            epoch=best.epoch,
            metric=visible(best.metric),
            value=best.value,
            accuracy=best.accuracy,
            macro_f1=best.macro_f1,
            path=visible(run.path / best.path),
        ),
        test=_score(state.test),
    )


def _score(seen: ValidationFinished | None) -> Score | None:
    if seen is None:
        return None
    return Score(epoch=seen.epoch, loss=seen.loss, accuracy=seen.accuracy, macro_f1=seen.macro_f1)


def _end(ending: Ending) -> End:
    what, remedy = "", ""
    match ending:
        case RunFinished():
            what = ending.why
        case RunStopped():
            what = ending.reason
        case RunFailed():
            what, remedy = ending.what, ending.remedy
        case EngineLost():
            what = ending.last_words[-1] if ending.last_words else ""
    return End(
        kind=ending.kind,
        what=visible(what),
        remedy=visible(remedy),
        exit_code=int(exit_code(ending)),
    )


def _files(state: RunState, run: RunDir) -> Files:
    last = state.last_checkpoint
    return Files(
        run=visible(run.path),
        log=visible(run.log),
        events=visible(run.events),
        last_checkpoint=None if last is None else visible(run.path / last),
        quarantine=visible(run.quarantine) if state.num_set_aside else None,
        stop_report=visible(run.stop_report) if _is_guards(state.ending, run) else None,
    )


def _is_guards(ending: Ending | None, run: RunDir) -> bool:
    """Say whether a guard has ended the run and told why."""
    return isinstance(ending, RunFailed) and run.stop_report.is_file()

"""What is worth telling a person who does not watch: an event in one small object."""

from __future__ import annotations

from dataclasses import dataclass

from ecotui.events import (
    Event,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    RunFailed,
    RunFinished,
    RunPaused,
    RunStopped,
    SavingFailed,
    Severity,
)
from ecotui.healing import RunRolledBack
from ecotui.notify_settings import Occasion
from ecotui.text import duration, sentence, visible

MAX_CHARACTERS = 1_000
DELIVERY_FAILED = "notification_failed"
"""An alert about the messages themselves, which is not passed on."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell.

    Attributes:
        occasion: What kind of thing.
        severity: How much it matters.
        name: Of the guard or the alert; that of the event otherwise.
        what: What happened, for a person, harmless to show.
        advice: What to do; may be empty.
        step: Optimizer steps done; None where the event does not say.
    """

    occasion: Occasion
    severity: Severity
    name: str
    what: str
    advice: str = ""
    step: int | None = None

    @property
    def text(self) -> str:
        """The whole of it in one line."""
        return f"{self.what}. {sentence(self.advice)}" if self.advice else self.what


def message_of(event: Event) -> Message | None:
    """Return what to tell of an event; None where it is nothing to tell."""
    told = _ending(event) or _alert(event)
    if told is None:
        return None
    occasion, severity, name, what, advice = told
    step = getattr(event, "step", None)
    what, advice = visible(what, limit=MAX_CHARACTERS), visible(advice, limit=MAX_CHARACTERS)
    return Message(occasion, severity, visible(name, limit=80), what, advice, step)


_Told = tuple[Occasion, Severity, str, str, str]


def _ending(event: Event) -> _Told | None:
    match event:
        case RunFinished(why="job"):
            return None
        case RunFinished():
            done = f"epoch {event.epochs_done} of {event.epochs_planned}"
            what = f"training completed ({event.why}, {done}) after {duration(event.seconds)}"
            return "finished", "note", event.kind, what, ""
        case RunStopped():
            what = f"stopped at step {event.step}: {event.reason}"
            return "stopped", "note", event.kind, what, "ecotui resume goes on"
        case RunFailed():
            return "failed", "critical", event.kind, f"failed: {event.what}", event.remedy
        case RunPaused():
            what = f"paused at step {event.step}: {event.why}"
            return "paused", "warning", event.kind, what, "ecotui continue goes on"
        case _:
            return None


def _alert(event: Event) -> _Told | None:
    match event:
        case GuardTripped():
            return "alerts", event.severity, event.guard, event.what, event.advice
        case HealthAlerted() if event.code != DELIVERY_FAILED:
            return "alerts", event.severity, event.code, event.message, event.advice
        case SavingFailed():
            what = f"checkpoints cannot be written: {event.what}"
            return "alerts", "critical", "saving_failed", what, event.remedy
        case LoaderRebuilt():
            return "alerts", "warning", "loader_rebuilt", event.what, ""
        case RunRolledBack():
            what = f"went back from step {event.from_step} to step {event.to_step}: {event.what}"
            return "alerts", "warning", event.guard, what, ""
        case _:
            return None

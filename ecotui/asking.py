"""What was asked of the engine and is not done yet. Pure: knows commands and events, no screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ecotui.commands import Command, ExtendRun, SetLearningRate, SilenceGuard, StopRun
from ecotui.events import (
    AnyEvent,
    CheckpointSaved,
    CommandAnswered,
    EngineStarted,
    RunContinued,
    RunPaused,
)
from ecotui.text import counted, visible

STOPPING = "stopping, saving a checkpoint"
STOPPING_LATER = "stopping after this epoch"
SAVING = "checkpoint asked for"
PAUSING = "pausing"
CONTINUING = "going on"
MEASURING = "gradient norms asked for"
RELEASING = "letting it go on alone"
RESUMING = "resuming"

_WEIGHT = (
    "stop_run",
    "pause_run",
    "continue_run",
    "save_checkpoint",
    "set_learning_rate",
    "extend_run",
    "silence_guard",
    "measure_norms",
    "detach_run",
)
"""What is named first where several things are pending."""
_DONE_WHEN_ANSWERED = frozenset(
    {"set_learning_rate", "extend_run", "silence_guard", "measure_norms", "detach_run"}
)
"""Accepting these is doing them; the others are done when an event says so."""

ANSWERING_KINDS = frozenset(
    each.model_fields["kind"].default
    for each in (CommandAnswered, CheckpointSaved, RunPaused, RunContinued, EngineStarted)
)
"""Events that `Asking.settled` looks at; no other tells anything of what was asked."""


class Settled(NamedTuple):
    """What is left after some events, and what the engine said to the rest.

    Attributes:
        asking: What is still pending.
        refused: Answers that say no, to commands of this app.
        done: Answers that say yes to what is done with that, to commands of this app.
    """

    asking: Asking
    refused: tuple[CommandAnswered, ...]
    done: tuple[CommandAnswered, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """Commands sent and not done yet, and a resumption under way.

    Attributes:
        commands: In the order they were sent.
        resuming_after: The attempt that ended, while a later one has not begun; None otherwise.
    """

    commands: tuple[Command, ...] = ()
    resuming_after: int | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the commands that are pending."""
        return frozenset(command.kind for command in self.commands)

    @property
    def words(self) -> str:
        """What is pending, in words: the weightiest, and how many others; empty for nothing."""
        if self.resuming_after is not None:
            return RESUMING
        if not self.commands:
            return ""
        first, *others = sorted(self.commands, key=_weight)
        more = f" (and {counted(len(others), 'other')})" if others else ""
        return words_of(first) + more

    def sent(self, command: Command) -> Asking:
        """Return what is pending once a command is sent; one of the same kind gives way to it."""
        others = tuple(each for each in self.commands if each.kind != command.kind)
        return replace(self, commands=(*others, command))

    def would_repeat(self, command: Command) -> bool:
        """Say whether the very same is pending already."""
        wanted = command.model_dump(exclude={"id", "reason"})
        return any(each.model_dump(exclude={"id", "reason"}) == wanted for each in self.commands)

    def settled(self, events: Sequence[AnyEvent], *, is_paused: bool) -> Settled:
        """Return what is left after some events.

        Args:
            events: In the order they came.
            is_paused: Whether the run stands still after them: a pause that it stood in
                already is done once it is accepted.
        """
        left, after = list(self.commands), self.resuming_after
        refused, done = list[CommandAnswered](), list[CommandAnswered]()
        for event in events:
            match event:
                case CommandAnswered():
                    mine = next((each for each in left if each.id == event.command_id), None)
                    if mine is None:
                        continue
                    is_done = mine.kind in _DONE_WHEN_ANSWERED
                    if not event.accepted:
                        refused.append(event)
                    elif is_done:
                        done.append(event)
                    elif not (mine.kind == "pause_run" and is_paused):
                        continue
                    left.remove(mine)
                case CheckpointSaved(reason="request"):
                    left = _without(left, "save_checkpoint")
                case RunPaused():
                    left = _without(left, "pause_run")
                case RunContinued():
                    left = _without(left, "continue_run")
                case EngineStarted() if after is not None and event.attempt > after:
                    after = None
        return Settled(Asking(tuple(left), after), tuple(refused), tuple(done))


def words_of(command: Command) -> str:
    """Return what a command asks for, in words, as long as it is pending."""
    match command:
        case StopRun():
            return STOPPING_LATER if command.after_epoch else STOPPING
        case SetLearningRate():
            return f"learning rate {command.learning_rate:g} asked for"
        case ExtendRun():
            return f"{counted(command.epochs, 'epoch')} asked for"
        case SilenceGuard():
            does = "silencing" if command.silent else "waking"
            return f"{does} {visible(command.guard, limit=40)}"
    plain = {
        "pause_run": PAUSING,
        "continue_run": CONTINUING,
        "save_checkpoint": SAVING,
        "measure_norms": MEASURING,
        "detach_run": RELEASING,
    }
    return plain[command.kind]


def _weight(command: Command) -> int:
    return _WEIGHT.index(command.kind)


def _without(commands: list[Command], kind: str) -> list[Command]:
    return [command for command in commands if command.kind != kind]

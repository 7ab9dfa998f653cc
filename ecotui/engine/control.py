"""What the outside may ask of a running engine, looked at between steps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ecotui.commands import AnyCommand, DetachRun, SaveCheckpoint, StopRun, read_commands
from ecotui.engine.emit import Emit
from ecotui.events import CommandAnswered
from ecotui.text import visible

COMMANDS_INTERVAL_SECONDS = 0.1


class StopRequested(BaseException):
    """The run is to be saved and stopped.

    Not an `Exception`, so that nothing that handles failures of a batch can
    take it for one.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class StopFlag:
    """What a signal handler may touch: it sets `reason`, nothing more."""

    reason: str | None = None


@dataclass(slots=True)
class Progress:
    """How far the engine is, for the heartbeat."""

    step: int = 0
    last_progress_seconds: float = field(default_factory=time.monotonic)

    def note(self, step: int) -> None:
        """Something was done."""
        self.step = step
        self.last_progress_seconds = time.monotonic()

    def silence_seconds(self) -> float:
        """Return how long ago something was done."""
        return time.monotonic() - self.last_progress_seconds


class Control:
    """Answers commands and turns every wish to stop into `StopRequested`.

    Args:
        commands_path: Where requests are appended.
        offset: Where in that file this attempt begins to listen.
        emit: Where answers go.
        flag: Set by signals.
        owner_pid: Process whose death stops the run; None when nobody owns it.
        parent_pid: Gives the present parent's pid; the kernel changes it at the
            parent's death.
    """

    def __init__(
        self,
        commands_path: Path,
        offset: int,
        emit: Emit,
        flag: StopFlag,
        owner_pid: int | None = None,
        parent_pid: Callable[[], int] = os.getppid,
    ) -> None:
        self.progress = Progress()
        self._commands_path = commands_path
        self._offset = offset
        self._emit = emit
        self._flag = flag
        self._owner_pid = owner_pid
        self._parent_pid = parent_pid
        self._next_look = 0.0
        self._save_is_asked = False

    def poll(self, step: int, *, is_waiting: bool = False) -> None:
        """Look at signals and commands; called at every batch of every stage.

        Args:
            step: Optimizer steps done.
            is_waiting: Nothing was done since the last call, so that the heartbeat's
                silence goes on.

        Raises:
            StopRequested: Someone asked to stop, or the owner has died.

        Emits:
            CommandAnswered.
        """
        if not is_waiting:
            self.progress.note(step)
        if self._flag.reason is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + COMMANDS_INTERVAL_SECONDS
            self._listen()
        if self._flag.reason is not None:
            raise StopRequested(self._flag.reason)

    def take_save_request(self) -> bool:
        """Say whether a checkpoint was asked for, once."""
        asked, self._save_is_asked = self._save_is_asked, False
        return asked

    def _listen(self) -> None:
        # Looked at before the commands: a DetachRun appended by a dying owner is then seen.
        owner_is_gone = self._owner_pid is not None and self._parent_pid() != self._owner_pid
        commands, self._offset = read_commands(self._commands_path, self._offset)
        for command in commands:
            self._answer(command)
        if owner_is_gone and self._owner_pid is not None and self._flag.reason is None:
            self._flag.reason = "the program that started the run has died"

    def _answer(self, command: AnyCommand) -> None:
        why = self._obey(command)
        self._emit(
            CommandAnswered(
                command_id=visible(command.id),
                command=command.kind,
                accepted=why is not None,
                why=why or "this version of the engine cannot do that",
            )
        )

    def _obey(self, command: AnyCommand) -> str | None:
        match command:
            case StopRun():
                self._flag.reason = visible(command.reason)
                return "saving a checkpoint, then stopping"
            case SaveCheckpoint():
                self._save_is_asked = True
                return "saved after this step"
            case DetachRun():
                self._owner_pid = None
                return "the run goes on alone"
            case _:
                return None

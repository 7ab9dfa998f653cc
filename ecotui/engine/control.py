"""What the outside may ask of a running engine, looked at between steps."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from ecotui.commands import (
    AnyCommand,
    ContinueRun,
    DetachRun,
    ExtendRun,
    MeasureNorms,
    PauseRun,
    SaveCheckpoint,
    SetLearningRate,
    SilenceGuard,
    StopRun,
    read_commands,
)
from ecotui.engine.deadline import Deadline
from ecotui.engine.emit import Emit
from ecotui.engine.heap import release_freed
from ecotui.events import CommandAnswered, RunContinued, RunPaused
from ecotui.text import visible

COMMANDS_INTERVAL_SECONDS = 0.1
PAUSE_INTERVAL_SECONDS = 0.05
WAITING_SECONDS = 5.0
"""Who waits for photos says so twice a second; after so long it is busy with something else."""
ASKED_TO_PAUSE = "asked to pause"
TIME_LIMIT = "time_limit"
"""The reason of a stop because the time given to the run is over."""

Change = SetLearningRate | ExtendRun | SilenceGuard | MeasureNorms
"""Commands that need the training: they change a setting, or have something measured."""


class StopRequested(BaseException):
    """The run is to be saved and stopped.

    Not an `Exception`, so that nothing that handles failures of a batch can
    take it for one.

    Args:
        reason: Who or what asked, in words.
        is_saved: Whether the state as it is now has been handed to the saver already.
    """

    def __init__(self, reason: str, *, is_saved: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_saved = is_saved

    @property
    def saves_as(self) -> Literal["stop", "time_limit"]:
        """Why the checkpoint is saved."""
        return "time_limit" if self.reason == TIME_LIMIT else "stop"


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        accepted: Whether it is done, or will be.
        why: What follows, or why it is refused, in words.
    """

    accepted: bool
    why: str


class Desk(Protocol):
    """Where requests go that need the training itself; open while it is under way."""

    def change(self, command: Change) -> Answer:
        """Change a setting of the run."""

    def save(self) -> None:
        """Save a checkpoint of the step at which the run stands still."""

    def free_memory(self) -> bool:
        """Move what is trained off the accelerator, and say whether that freed any."""

    def take_memory_back(self) -> Answer:
        """Move it back; refused where there is no room for it, and nothing has moved."""


@dataclass(slots=True)
class StopFlag:
    """What a signal handler may touch: it sets these, nothing more.

    Attributes:
        reason: Why the run is to stop; None while it is not.
        is_ordered: Whether a signal other than a scheduler's notice has come.
        exit_code: What the engine ends with; None until the last event of the run is stated.
    """

    reason: str | None = None
    is_ordered: bool = False
    exit_code: int | None = None


@dataclass(slots=True)
class Progress:
    """How far the engine is, for the heartbeat and the watch.

    Attributes:
        step: Optimizer steps done.
        last_progress_seconds: When something was done last, monotonic.
        waited_seconds: When photos were last waited for, monotonic; 0 before.
        step_seconds: What the last steps took, at most 512.
    """

    step: int = 0
    last_progress_seconds: float = field(default_factory=time.monotonic)
    waited_seconds: float = 0.0
    step_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=512))

    def note(self, step: int) -> None:
        """Something was done."""
        now = time.monotonic()
        if step == self.step + 1:
            self.step_seconds.append(now - self.last_progress_seconds)
        self.step = step
        self.last_progress_seconds = now

    def note_waiting(self) -> None:
        """Photos are waited for."""
        self.waited_seconds = time.monotonic()

    def silence_seconds(self) -> float:
        """Return how long ago something was done."""
        return time.monotonic() - self.last_progress_seconds

    def is_waiting(self) -> bool:
        """Say whether photos have been waited for since, and still are."""
        since = time.monotonic() - self.waited_seconds
        return self.waited_seconds > self.last_progress_seconds and since < WAITING_SECONDS


class Control:
    """Answers commands, stands still on request, and turns wishes to stop into `StopRequested`.

    Args:
        commands_path: Where requests are appended.
        offset: Where in that file this attempt begins to listen.
        emit: Where answers go.
        flag: Set by signals.
        owner_pid: Process whose death stops the run; None when nobody owns it.
        parent_pid: Gives the present parent's pid; the kernel changes it at the
            parent's death.
        deadline: When the time given to this attempt is over.
    """

    def __init__(
        self,
        commands_path: Path,
        offset: int,
        emit: Emit,
        flag: StopFlag,
        owner_pid: int | None = None,
        parent_pid: Callable[[], int] = os.getppid,
        deadline: Deadline | None = None,
    ) -> None:
        self.progress = Progress()
        self.deadline = Deadline() if deadline is None else deadline
        self._commands_path = commands_path
        self._offset = offset
        self._emit = emit
        self._flag = flag
        self._owner_pid = owner_pid
        self._parent_pid = parent_pid
        self._next_look = 0.0
        self._save_is_asked = False
        self._stops_after_epoch: str | None = None
        self._is_paused = self._is_freed = self._wants_memory_freed = False
        self._pause_why = ASKED_TO_PAUSE
        self._pause_wish: str | None = None
        self._desk: Desk | None = None
        self._closed: str | None = None
        self._held: list[Change] = []

    def poll(self, step: int, *, is_waiting: bool = False) -> None:
        """Look at signals, commands and the clock; called at every batch of every stage.

        Stands still here for as long as a pause lasts.

        Args:
            step: Optimizer steps done.
            is_waiting: Nothing was done since the last call, so that the heartbeat's
                silence goes on.

        Raises:
            StopRequested: Someone asked to stop, the owner has died, or the time is over.

        Emits:
            CommandAnswered; RunPaused and RunContinued around a pause.
        """
        if is_waiting:
            self.progress.note_waiting()
        else:
            self.progress.note(step)
            self.deadline.note_step(step)
        self._grant_pause()
        if self._flag.reason is None and time.monotonic() >= self._next_look:
            self._listen()
        if self._is_paused and self._flag.reason is None:
            self._stand_still(step)
        if self._flag.reason is not None:
            raise StopRequested(self._flag.reason)

    def speak_through(self, emit: Emit) -> None:
        """State everything from here on through what listens for a pause: the watch, messages."""
        self._emit = emit

    def wish_pause(self, why: str) -> None:
        """Save and stand still at the next look; may be called from any thread."""
        self._pause_wish = why

    def take_save_request(self) -> bool:
        """Say whether a checkpoint was asked for, once."""
        asked, self._save_is_asked = self._save_is_asked, False
        return asked

    def end_epoch(self) -> None:
        """Look at wishes to stop once an epoch is done; called with its state saved.

        Raises:
            StopRequested: Someone asked to stop after the epoch.
        """
        if self._stops_after_epoch is not None:
            raise StopRequested(self._stops_after_epoch, is_saved=True)

    def open_desk(self, desk: Desk) -> None:
        """Answer requests that need the training from here on, first those that wait.

        Emits:
            CommandAnswered, and whatever the desk states.
        """
        self._desk = desk
        held, self._held = self._held, []
        for command in held:
            self._tell(command, desk.change(command))

    def close_desk(self, why: str) -> None:
        """Refuse such requests from here on, with these words."""
        self._desk, self._closed = None, why

    def _listen(self) -> None:
        self._next_look = time.monotonic() + COMMANDS_INTERVAL_SECONDS
        # Looked at before the commands: a DetachRun appended by a dying owner is then seen.
        owner_is_gone = self._owner_pid is not None and self._parent_pid() != self._owner_pid
        commands, self._offset = read_commands(self._commands_path, self._offset)
        for command in commands:
            answer = self._obey(command)
            if answer is not None:
                self._tell(command, answer)
        if owner_is_gone and self._owner_pid is not None:
            self._want_stop("the program that started the run has died")
        if self.deadline.is_near():
            self._want_stop(TIME_LIMIT)

    def _want_stop(self, reason: str) -> None:
        if self._flag.reason is None:
            self._flag.reason = reason

    def _tell(self, command: AnyCommand, answer: Answer) -> None:
        self._emit(
            CommandAnswered(
                command_id=visible(command.id),
                command=command.kind,
                accepted=answer.accepted,
                why=answer.why,
            )
        )

    def _obey(self, command: AnyCommand) -> Answer | None:
        """Do what is asked, or see to it; None where the answer has to wait for the training."""
        match command:
            case StopRun(after_epoch=True):
                return self._stop_after_epoch(visible(command.reason))
            case StopRun():
                self._want_stop(visible(command.reason))
                return Answer(True, "saving a checkpoint, then stopping")
            case SaveCheckpoint():
                if self._closed is not None:
                    return Answer(False, self._closed)
                self._save_is_asked = True
                return Answer(True, "saved at once" if self._is_paused else "saved after this step")
            case DetachRun():
                self._owner_pid = None
                return Answer(True, "the run goes on alone")
            case PauseRun():
                return self._pause(free_memory=command.free_memory)
            case ContinueRun():
                return self._continue()
            case SetLearningRate() | ExtendRun() | SilenceGuard() | MeasureNorms():
                if self._closed is not None:
                    return Answer(False, self._closed)
                if self._desk is None:
                    self._held.append(command)
                    return None
                return self._desk.change(command)

    def _stop_after_epoch(self, reason: str) -> Answer:
        if self._closed is not None:
            return Answer(False, self._closed)
        self._stops_after_epoch = reason
        return Answer(True, "stopping once this epoch, its validation and its checkpoint are done")

    def _pause(self, *, free_memory: bool) -> Answer:
        was_paused, self._is_paused = self._is_paused, True
        self._wants_memory_freed = self._wants_memory_freed or free_memory
        if was_paused:
            return Answer(True, "the run stands still already")
        return Answer(True, "standing still after this step; ecotui continue goes on")

    def _grant_pause(self) -> None:
        """Turn a wish of the watch into a pause, with a checkpoint of this step."""
        wish, self._pause_wish = self._pause_wish, None
        if wish is None or self._is_paused:
            return
        self._is_paused, self._pause_why = True, wish
        self._save_is_asked = self._closed is None

    def _continue(self) -> Answer:
        if not self._is_paused:
            return Answer(False, "the run is not paused")
        if self._is_freed and self._desk is not None:
            answer = self._desk.take_memory_back()
            if not answer.accepted:
                return answer
        self._is_paused = self._is_freed = self._wants_memory_freed = False
        self._pause_why = ASKED_TO_PAUSE
        return Answer(True, "going on")

    def _stand_still(self, step: int) -> None:
        started = time.monotonic()
        self._free_memory()
        release_freed()  # of main memory: a run may stand still because it runs short
        why = self._pause_why
        self._emit(RunPaused(step=step, why=why, memory_freed=self._is_freed))
        while self._is_paused and self._flag.reason is None:
            time.sleep(PAUSE_INTERVAL_SECONDS)
            self._listen()
            if not self._is_freed and self._free_memory():
                self._emit(RunPaused(step=step, why=why, memory_freed=True))
            if self._desk is not None and self.take_save_request():
                self._desk.save()
        # On the way to a stop everything stays where it is: it is saved from there.
        self.progress.note(step)
        self.deadline.note_step(step)
        self._emit(RunContinued(step=step, seconds=time.monotonic() - started))

    def _free_memory(self) -> bool:
        """Free the accelerator's memory where that was asked for, once, and say whether it is."""
        if self._wants_memory_freed and self._desk is not None:
            self._wants_memory_freed = False
            self._is_freed = self._desk.free_memory()
        return self._is_freed

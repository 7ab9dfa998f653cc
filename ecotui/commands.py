"""Every request a front end can make of a running engine.

A command is a line appended to `commands.jsonl`; the engine reads the file
between steps and answers each one with a `CommandAnswered` event.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_LINE_BYTES = 65_536
"""A longer line is not a command."""

MAX_BITE_BYTES = 1_048_576
"""A reader takes at most this much at once, whatever somebody wrote into the file."""


class Command(BaseModel):
    """What every command carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    id: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=64)
    """Names the command, so that its answer can be told apart."""


class StopRun(Command):
    """Save a checkpoint and stop; the run can be resumed."""

    kind: Literal["stop_run"] = "stop_run"
    reason: str = Field(default="asked to stop", max_length=200)
    """Who or what asked, in words, for the events."""
    after_epoch: bool = False
    """Not now, but once the current epoch with its validation is done; a later StopRun without
    this one stops at once."""


class PauseRun(Command):
    """Stand still between two steps, with everything kept; ContinueRun goes on."""

    kind: Literal["pause_run"] = "pause_run"
    free_memory: bool = False
    """Move model and optimizer off the accelerator while paused, so that others can use it."""


class ContinueRun(Command):
    """Go on after a pause, also after one that the engine took by itself."""

    kind: Literal["continue_run"] = "continue_run"


class SaveCheckpoint(Command):
    """Save a checkpoint at the next step and go on."""

    kind: Literal["save_checkpoint"] = "save_checkpoint"


class SetLearningRate(Command):
    """Change the peak of the learning rate's schedule: `train.learning_rate`, from the next step.

    The schedule keeps its shape, so the rate of the present step changes in proportion.
    """

    kind: Literal["set_learning_rate"] = "set_learning_rate"
    learning_rate: float = Field(gt=0.0, allow_inf_nan=False)


class ExtendRun(Command):
    """Change how many epochs the run has in all: `train.epochs`."""

    kind: Literal["extend_run"] = "extend_run"
    epochs: int = Field(ge=1, le=100_000)
    """The new total; more than are done."""


class SilenceGuard(Command):
    """Let a guard go on watching and telling, but act no more; or take that back."""

    kind: Literal["silence_guard"] = "silence_guard"
    guard: str = Field(min_length=1, max_length=64)
    """Its stable name, as GuardTripped gives it."""
    silent: bool = True


class MeasureNorms(Command):
    """Write down each layer's gradient norms and activations for the next batch."""

    kind: Literal["measure_norms"] = "measure_norms"


class DetachRun(Command):
    """Go on when the program that started the run has gone."""

    kind: Literal["detach_run"] = "detach_run"


AnyCommand = Annotated[
    StopRun
    | PauseRun
    | ContinueRun
    | SaveCheckpoint
    | SetLearningRate
    | ExtendRun
    | SilenceGuard
    | MeasureNorms
    | DetachRun,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)


def append_command(path: Path, command: Command) -> None:
    """Append a command as one whole line.

    Raises:
        OSError: The file cannot be written.
    """
    line = command.model_dump_json().encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if _ends_torn(descriptor):  # somebody died while writing; keep this line apart from it
            line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read_commands(path: Path, offset: int) -> tuple[list[AnyCommand], int]:
    """Return the commands whole lines hold from an offset on, and the next offset.

    What is not a command is passed over: the file is data from outside. At most
    `MAX_BITE_BYTES` are read at once; an offset within a line skips its rest.
    """
    try:
        with path.open("rb") as file:
            start = max(0, offset - 1)
            file.seek(start)
            raw = file.read(MAX_BITE_BYTES)
    except FileNotFoundError:
        return [], offset
    whole, newline, rest = raw.rpartition(b"\n")
    if not newline:
        return [], start + len(raw) if len(rest) > MAX_LINE_BYTES else offset
    lines = whole.split(b"\n")[1 if offset else 0 :]  # the first is before the offset, or empty
    found = [command for command in map(_decode, lines) if command is not None]
    return found, max(offset, start + len(whole) + 1)


def _decode(line: bytes) -> AnyCommand | None:
    if not line or len(line) > MAX_LINE_BYTES:
        return None
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


def _ends_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

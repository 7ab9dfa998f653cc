"""Every request a front end can make of a running engine.

A command is a line appended to `commands.jsonl`; the engine reads the file
between steps and answers each one with a `CommandAnswered` event.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_LINE_BYTES = 65_536
"""A longer line is not a command."""


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


class SaveCheckpoint(Command):
    """Save a checkpoint at the next step and go on."""

    kind: Literal["save_checkpoint"] = "save_checkpoint"


class DetachRun(Command):
    """Go on when the program that started the run has gone."""

    kind: Literal["detach_run"] = "detach_run"


AnyCommand = Annotated[StopRun | SaveCheckpoint | DetachRun, Field(discriminator="kind")]

_ADAPTER: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)


def append_command(path: Path, command: Command) -> None:
    """Append a command as one whole line.

    Raises:
        OSError: The file cannot be written.
    """
    line = command.model_dump_json().encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read_commands(path: Path, offset: int) -> tuple[list[AnyCommand], int]:
    """Return the commands whole lines hold from an offset on, and the next offset.

    What is not a command is passed over: the file is data from outside.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read()
    except FileNotFoundError:
        return [], offset
    whole, _, _ = raw.rpartition(b"\n")
    found: list[AnyCommand] = []
    for line in whole.split(b"\n"):
        if not line or len(line) > MAX_LINE_BYTES:
            continue
        try:
            found.append(_ADAPTER.validate_json(line))
        except ValidationError:
            continue
    return found, offset + (len(whole) + 1 if whole or raw.startswith(b"\n") else 0)

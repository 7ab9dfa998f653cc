"""What screens and widgets say to the app: nouns, handled by `EcoApp` and nobody else.

A screen posts one of these with `self.post_message(...)`; the app finds the session, the files
and the engine that they need. So no screen imports any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:  # Messages are known before anything that they may carry is.
    from pathlib import Path

    from ecotui.commands import Command
    from ecotui.config_file import LoadedConfig
    from ecotui.jobs import Job
    from ecotui.paths import RunDir


@dataclass
class Request(Message):
    """Something asked of the engine of the run shown; pending until it answers."""

    command: Command


@dataclass
class ConfigChoice(Message):
    """A config to be trained as a new run.

    Attributes:
        reference: Path or shipped name.
        settings: `key=value`, on top of it.
    """

    reference: str
    settings: Sequence[str] = ()


@dataclass
class NewRun(Message):
    """A configuration, already loaded and valid, to be trained as a new run."""

    loaded: LoadedConfig


@dataclass
class RunChoice(Message):
    """A run to be shown, alive or not.

    Attributes:
        run: Its directory.
        screen: Where to begin; empty for the screen of the stage that it is in.
    """

    run: RunDir
    screen: str = ""


@dataclass
class ReplayChoice(Message):
    """A run whose log is to be played again from its beginning."""

    run: RunDir


@dataclass
class ConfigFile(Message):
    """A config to be written.

    Attributes:
        path: Of the file, which is replaced where it is there.
        text: TOML.
    """

    path: Path
    text: str


@dataclass
class Resumption(Message):
    """A run that has ended and is to go on.

    Attributes:
        run: Its directory.
        settings: `key=value`, changed before it does, such as `train.epochs=30`.
        without: Checkpoints that are removed before, relative to the run: it goes on from the
            newest that is left.
    """

    run: RunDir
    settings: Sequence[str] = ()
    without: Sequence[str] = ()


@dataclass
class Deletion(Message):
    """Runs to be removed with their checkpoints; the app asks first."""

    runs: Sequence[RunDir]


@dataclass
class CheckpointDeletion(Message):
    """A checkpoint of a run that has ended is to be removed; the app asks first.

    Attributes:
        run: Whose it is.
        path: Relative to the run directory.
        remark: A sentence about what follows from it; may be empty.
    """

    run: RunDir
    path: str
    remark: str = ""


@dataclass
class Errand(Message):
    """A short job in a directory of its own, beside the run shown; one at a time.

    Its progress is `app.errand`, which screens watch as they watch `run_state`.

    Attributes:
        job: What is to be done, such as an `ExportJob` or a `DiagnoseJob`.
        config: What it is about, where that is a configuration.
    """

    job: Job
    config: LoadedConfig | None = None


@dataclass
class ErrandEnd(Message):
    """The errand under way is to be stopped."""


@dataclass
class Copy(Message):
    """A text to be copied; a toast says where to.

    Attributes:
        text: As it is to be copied.
        what: What it is, in words, for the toast.
    """

    text: str
    what: str = "text"


@dataclass
class Visit(Message):
    """A screen to go to, with what it is about.

    Attributes:
        screen: Its name in `ecotui.screens.table`.
        runs: The runs that it is to show, for screens about runs other than the one followed.
    """

    screen: str
    runs: Sequence[RunDir] = field(default=())

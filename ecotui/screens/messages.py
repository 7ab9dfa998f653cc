"""What screens and widgets say to the app: nouns, handled by `EcoApp` and nobody else.

A screen posts one of these with `self.post_message(...)`; the app finds the session, the files
and the engine that they need. So no screen imports any of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, dataclass_transform

from textual.message import Message

if TYPE_CHECKING:  # Messages are known before anything that they may carry is.
    from pathlib import Path

    from ecotui.commands import Command
    from ecotui.config_draft import Draft
    from ecotui.config_file import LoadedConfig
    from ecotui.jobs import Job
    from ecotui.paths import RunDir


@dataclass_transform(eq_default=False)
class Said(Message):
    """A message with fields, named in its class as those of a dataclass are.

    Python writes and compiles code for every dataclass; for the messages together that would be
    a hundredth of the first frame's time.

    Raises:
        TypeError: A field is missing, or there is no such field.
    """

    def __init__(self, *values: object, **named: object) -> None:
        super().__init__()
        names = tuple(inspect.get_annotations(type(self)))
        given = dict(zip(names, values, strict=False)) | named
        missing = [name for name in names if name not in given and not hasattr(type(self), name)]
        is_twofold = len(given) < len(values) + len(named)
        if missing or is_twofold or not set(given) <= set(names):
            raise TypeError(f"{type(self).__name__} takes {names}, not {values} and {named}")
        vars(self).update(given)


class Request(Said):
    """Something asked of the engine of the run shown; pending until it answers."""

    command: Command


class ConfigChoice(Said):
    """A config to be trained as a new run.

    Attributes:
        reference: Path or shipped name.
        settings: `key=value`, on top of it.
    """

    reference: str
    settings: Sequence[str] = ()


class NewRun(Said):
    """A configuration, already loaded and valid, to be trained as a new run.

    Attributes:
        loaded: What is trained.
        draft: What a person made it from, where that is to be had again if the start fails.
    """

    loaded: LoadedConfig
    draft: Draft | None = None


class RunChoice(Said):
    """A run to be shown, alive or not.

    Attributes:
        run: Its directory.
        screen: Where to begin; empty for the screen of the stage that it is in.
    """

    run: RunDir
    screen: str = ""


class ReplayChoice(Said):
    """A run whose log is to be played again from its beginning."""

    run: RunDir


class ConfigFile(Said):
    """A config to be written.

    Attributes:
        path: Of the file, which is replaced where it is there.
        text: TOML.
    """

    path: Path
    text: str


class Resumption(Said):
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


class Deletion(Said):
    """Runs to be removed with their checkpoints; the app asks first."""

    runs: Sequence[RunDir]


class CheckpointDeletion(Said):
    """A checkpoint of a run that has ended is to be removed; the app asks first.

    Attributes:
        run: Whose it is.
        path: Relative to the run directory.
        remark: A sentence about what follows from it; may be empty.
    """

    run: RunDir
    path: str
    remark: str = ""


class Errand(Said):
    """A short job in a directory of its own, beside the run shown; one at a time.

    Its progress is `app.errand`, which screens watch as they watch `run_state`.

    Attributes:
        job: What is to be done, such as an `ExportJob` or a `DiagnoseJob`.
        config: What it is about, where that is a configuration.
    """

    job: Job
    config: LoadedConfig | None = None


class ErrandEnd(Said):
    """The errand under way is to be stopped."""


class Copy(Said):
    """A text to be copied; a toast says where to.

    Attributes:
        text: As it is to be copied.
        what: What it is, in words, for the toast.
    """

    text: str
    what: str = "text"


class Visit(Said):
    """A screen to go to, with what it is about.

    Attributes:
        screen: Its name in `ecotui.screens.table`.
        runs: The runs that it is to show, for screens about runs other than the one followed.
    """

    screen: str
    runs: Sequence[RunDir] = ()


class Check(Said):
    """A config to be checked without training: the preflight screen shows it.

    Attributes:
        reference: Path or shipped name; empty for the config that is being prepared, as its file
            stands now.
        settings: `key=value`, on top of it.
        is_full: Whether every photo is to be read as well, whatever the config says.
    """

    reference: str = ""
    settings: Sequence[str] = ()
    is_full: bool = False


class DraftStart(Said):
    """The config that is being prepared is to be trained."""


class DraftChange(Said):
    """Settings to be written into the config that is being prepared.

    Attributes:
        settings: Values by section and key.
        words: What is done, for the person.
    """

    settings: Mapping[str, Mapping[str, Any]]
    words: str


class DraftAcceptance(Said):
    """The warnings of a check are to be accepted by the config that is being prepared."""

    check: str


class DraftExclusion(Said):
    """Photos to be left out by the config that is being prepared, or to be kept again.

    Attributes:
        run: Where the audit found them.
        file: Its findings, relative to the run; empty where it left none.
        category: Of the finding.
        numbers: Which of its examples; none for all: those that the audit would leave out, or,
            to be kept, every one.
        leaves_out: Whether they are left out, or kept.
        words: What is done, for the person.
        names: The same photos as they are shown; they count where there is no file.
    """

    run: RunDir
    file: str
    category: str
    numbers: Sequence[int]
    leaves_out: bool
    words: str
    names: Sequence[str] = ()


class DraftUndo(Said):
    """The last change to the config that is being prepared is to be taken back."""

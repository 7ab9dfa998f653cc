"""What the app opens: a new run, one to watch, or one to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from ecotui.paths import RunDir

if TYPE_CHECKING:  # Configurations are not needed to watch a run.
    from ecotui.config_file import LoadedConfig
    from ecotui.session_factory import EngineSession, SessionFactory


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that is to go on from its newest checkpoint.

    Attributes:
        run: Its directory.
        settings: `key=value`, changed before it does.
    """

    run: RunDir
    settings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Replaying:
    """A run whose log is to be played again from its beginning."""

    run: RunDir


Opening = Union["LoadedConfig", RunDir, Resumption, Replaying]
"""A config to start, a run to watch, one to go on with, or one to be played again."""


def session_of(opening: Opening, sessions: SessionFactory, runs_dir: Path) -> EngineSession:
    """Return the session of what is opened; its engine is started where it has to be.

    Raises:
        EcoError: The run cannot be made, or its engine not started.
    """
    if isinstance(opening, RunDir):
        return sessions.attach(opening)
    if isinstance(opening, Resumption):
        return sessions.launch(opening.run, opening.settings)
    if isinstance(opening, Replaying):
        from ecotui.paced_replay import PacedReplay

        return PacedReplay(opening.run)
    from ecotui import storage

    return sessions.launch(storage.create_run(opening, runs_dir), ())

"""How the app comes to a session: with a real engine, or with a recording in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ecotui import session
from ecotui.commands import Command
from ecotui.events import AnyEvent
from ecotui.paths import RunDir
from ecotui.spare_engine import SpareEngine


class EngineSession(Protocol):
    """What the app needs of a session."""

    run: RunDir

    @property
    def ended(self) -> bool:
        """Whether the last event of the run was read."""

    @property
    def num_unknown_lines(self) -> int:
        """Lines of the log that this version does not know."""

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        """Return the next events at once, none where there is nothing new."""

    def request(self, command: Command) -> None:
        """Ask the engine for something."""

    def wait_until_gone(self) -> bool:
        """Wait for the engine's process to leave, and say whether it has."""

    def discard(self) -> bool:
        """Remove the directory of a run that failed before it began anything."""


class Launch(Protocol):
    """Starts the engine of a run."""

    def __call__(self, run: RunDir, settings: Sequence[str] = (), /) -> EngineSession:
        """Start it, with `key=value` settings changed before it goes on."""


def _nothing() -> None:
    pass


def _errand(run: RunDir) -> EngineSession:
    return session.launch(run, owned=True)


@dataclass(frozen=True, slots=True)
class SessionFactory:
    """How a session is made.

    Attributes:
        launch: Starts the engine of a run; it outlives the app.
        attach: Follows a run that is there already.
        errand: Starts the engine of a short job; it ends with the app.
        prepare: Has an engine load its libraries before there is a run for it.
        relax: Says that there will be none.
    """

    launch: Launch
    attach: Callable[[RunDir], EngineSession]
    errand: Callable[[RunDir], EngineSession] = _errand
    prepare: Callable[[], None] = _nothing
    relax: Callable[[], None] = _nothing


def engine_with(settings: Sequence[str] = (), *, ends_at: float | None = None) -> SessionFactory:
    """Return the real engine, its first start with settings changed.

    Args:
        settings: `key=value`; a second start finds them in the run already.
        ends_at: When the time given to all of its starts is over, unix seconds.
    """
    left, spare = list(settings), SpareEngine()

    def launch(run: RunDir, settings: Sequence[str] = (), /) -> EngineSession:
        first, left[:] = (*left, *settings), ()
        return session.launch(run, owned=False, settings=first, ends_at=ends_at, spare=spare)

    def prepare() -> None:
        if session.ENGINE_ARGV[-1] == session.ENGINE_MODULE:
            spare.begin(session.ENGINE_ARGV)

    return SessionFactory(launch=launch, attach=session.attach, prepare=prepare, relax=spare.end)


REAL_ENGINE = engine_with()

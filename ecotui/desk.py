"""The run shown, and what was asked of it: where requests leave the app and are ticked off."""

from __future__ import annotations

from collections.abc import Sequence

from ecotui.asking import Asking
from ecotui.commands import Command
from ecotui.events import AnyEvent, CommandAnswered
from ecotui.session_factory import EngineSession


class Desk:
    """Holds the session of the run shown and the list of what is pending.

    Attributes:
        session: Of the run shown; None at home.
        asking: What was asked of it and is not done yet.
    """

    def __init__(self) -> None:
        self.session: EngineSession | None = None
        self.asking = Asking()

    @property
    def is_live(self) -> bool:
        """Whether a run is shown whose last event is still to come."""
        return self.session is not None and not self.session.ended

    def take(self, session: EngineSession | None, *, resuming_after: int | None = None) -> None:
        """Put another run on the desk, with nothing asked of it.

        Args:
            session: Of the run; None for no run.
            resuming_after: The attempt that ended, where this session begins the next one.
        """
        self.session = session
        self.asking = Asking(resuming_after=resuming_after)

    def ask(self, command: Command) -> None:
        """Send a command, unless the very same is pending.

        Raises:
            EcoError: It cannot be written.
        """
        if self.session is None or self.asking.would_repeat(command):
            return
        self.session.request(command)
        self.asking = self.asking.sent(command)

    def settle(self, events: Sequence[AnyEvent], *, is_paused: bool) -> Sequence[CommandAnswered]:
        """Tick off what these events answer; return the answers that a person should read."""
        self.asking, refused, done = self.asking.settled(events, is_paused=is_paused)
        return (*refused, *done)

    def close(self) -> None:
        """Forget what is pending: the run has ended."""
        self.asking = Asking()

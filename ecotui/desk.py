"""The run shown, and what was asked of it: where requests leave the app and are ticked off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # Commands and events are not needed before there is a run.
    from ecotui.asking import Asking
    from ecotui.commands import Command
    from ecotui.events import AnyEvent, CommandAnswered
    from ecotui.paced_replay import PacedReplay
    from ecotui.session_factory import EngineSession


class Desk:
    """Holds the session of the run shown and the list of what is pending.

    Attributes:
        session: Of the run shown; None at home.
        asking: What was asked of it and is not done yet; None at home.
    """

    def __init__(self) -> None:
        self.session: EngineSession | None = None
        self.asking: Asking | None = None

    @property
    def is_live(self) -> bool:
        """Whether a run is shown whose last event is still to come."""
        return self.session is not None and not self.session.ended and self.replay is None

    @property
    def replay(self) -> PacedReplay | None:
        """The log that is played in the place of a run; None for a real one."""
        is_replay = getattr(self.session, "is_replay", False)
        return cast("PacedReplay", self.session) if is_replay else None

    @property
    def words(self) -> str:
        """What is pending, in words; empty for nothing."""
        if self.replay is not None:
            return "" if self.replay.ended else self.replay.words
        return "" if self.asking is None else self.asking.words

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the commands that are pending."""
        return frozenset() if self.asking is None else self.asking.kinds

    @property
    def is_resuming(self) -> bool:
        """Whether a later attempt was asked for and has not begun."""
        return self.asking is not None and self.asking.resuming_after is not None

    def take(self, session: EngineSession, *, resuming_after: int | None = None) -> None:
        """Put another run on the desk, with nothing asked of it.

        Args:
            session: Of the run.
            resuming_after: The attempt that ended, where this session begins the next one.
        """
        from ecotui.asking import Asking

        self.session = session
        self.asking = Asking(resuming_after=resuming_after)

    def clear(self) -> None:
        """Take the run from the desk."""
        self.session = self.asking = None

    def ask(self, command: Command) -> None:
        """Send a command, unless the very same is pending.

        Raises:
            EcoError: It cannot be written.
        """
        if self.session is None or self.asking is None or self.asking.would_repeat(command):
            return
        self.session.request(command)
        self.asking = self.asking.sent(command)

    def settle(self, events: Sequence[AnyEvent], *, is_paused: bool) -> Sequence[CommandAnswered]:
        """Tick off what these events answer; return the answers that a person should read."""
        if self.asking is None:
            return ()
        self.asking, refused, done = self.asking.settled(events, is_paused=is_paused)
        return (*refused, *done)

    def close(self) -> None:
        """Forget what is pending: the run has ended."""
        if self.session is not None:
            self.take(self.session)

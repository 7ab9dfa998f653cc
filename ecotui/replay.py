"""A recorded run in the place of an engine: any moment of a run, without running anything.

For tests, for pictures of the screens, and for looking at a log again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecotui.commands import Command
from ecotui.events import TERMINAL_KINDS, AnyEvent
from ecotui.paths import RunDir
from ecotui.stream import decode


class Replay:
    """A session whose engine says what was recorded, when it is told to go on.

    Attributes:
        run: The directory that the run would have.
        asked: Commands that reached the engine, in order.
        num_unknown_lines: Always 0.
    """

    def __init__(self, events: Sequence[AnyEvent], run: RunDir) -> None:
        self.run = run
        self.asked: list[Command] = []
        self.num_unknown_lines = 0
        self._events = list(events)
        self._upto = 0
        self._taken = 0

    @classmethod
    def of(cls, log: Path, run: RunDir) -> Replay:
        """Return a replay of a recorded log."""
        found = (decode(line) for line in log.read_bytes().splitlines())
        return cls([event for event in found if event is not None], run)

    @property
    def ended(self) -> bool:
        """Whether the last event of the run was read."""
        return self._taken > 0 and self._events[self._taken - 1].kind in TERMINAL_KINDS

    def go_on(self, count: int | None = None) -> Replay:
        """Let the engine state so many more events; all that are left when None."""
        self._upto = len(self._events) if count is None else self._upto + count
        return self

    def go_on_to(self, kind: str, nth: int = 1) -> Replay:
        """Let the engine state its events up to the nth one of a kind from here on."""
        ahead = enumerate(self._events[self._upto :], start=self._upto + 1)
        self._upto = [index for index, event in ahead if event.kind == kind][nth - 1]
        return self

    def say(self, *events: AnyEvent) -> None:
        """Have the engine state something that was not recorded, now."""
        self._events[self._upto : self._upto] = events
        self._upto += len(events)

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        """Return the events stated since the last reading."""
        found = self._events[self._taken : self._upto]
        self._taken += len(found)
        return [(b"", event) for event in found]

    def request(self, command: Command) -> None:
        """Note a command."""
        self.asked.append(command)

    def wait_until_gone(self) -> bool:
        """Say that the engine's process has left."""
        return True

    def discard(self) -> bool:
        """Say that nothing was removed."""
        return False

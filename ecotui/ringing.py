"""The terminal's bell, beside any way of printing: where somebody should look at once."""

from __future__ import annotations

from typing import TextIO

from ecotui.events import AnyEvent, EngineLost, GuardTripped, HealthAlerted, RunFailed, SavingFailed
from ecotui.printing import Printer
from ecotui.state import RunState

BELL = "\a"


class Ringing:
    """A printer that rings as well.

    Args:
        printer: Prints.
        terminal: Gets the bell; a terminal.
    """

    def __init__(self, printer: Printer, terminal: TextIO) -> None:
        self._printer = printer
        self._terminal = terminal

    def say(self, text: str) -> None:
        """Print a line for the person, now."""
        self._printer.say(text)

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print what an event is worth, and ring where it is critical."""
        self._printer.show(line, event, state)
        if is_alarming(event):
            self._terminal.write(BELL)
            self._terminal.flush()

    def tick(self, state: RunState) -> None:
        """Bring moving parts up to date."""
        self._printer.tick(state)

    def finish(self, lines: list[str]) -> None:
        """Print the summary."""
        self._printer.finish(lines)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._printer.close()


def is_alarming(event: AnyEvent) -> bool:
    """Say whether an event should make a person look at once."""
    if isinstance(event, GuardTripped | HealthAlerted):
        return event.severity == "critical"
    return isinstance(event, SavingFailed | RunFailed | EngineLost)

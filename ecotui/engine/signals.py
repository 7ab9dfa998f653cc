"""What signals mean to an engine: the first one asks it to save and stop, a second to leave.

The handler only sets a flag: saving from within a handler can meet any half-done
work. The flag is looked at between steps, in every stage.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from ecotui.commands import StopRun, read_commands
from ecotui.engine.control import StopFlag
from ecotui.errors import ExitCode
from ecotui.events import Event, RunFailed, RunFinished, RunStopped


def catch_signals(flag: StopFlag, stops: Callable[[], Sequence[str]]) -> None:
    """Make a first signal a wish to stop, and a second one leave at once.

    A scheduler that signals a whole group of processes reaches the engine twice:
    directly, and as the request of the printer in front of it. The same signal in
    both ways is one wish. SIGUSR1 is a notice, which a time limit gives as well:
    it never makes the engine leave, and the signal after it is the first.
    Once the last event of the run is stated, a signal only makes it leave sooner.
    A hang-up of the terminal is nothing to an engine.

    Args:
        flag: What the handlers set.
        stops: Gives the reasons of the stops that were asked for by command.
    """

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if flag.exit_code is not None:
            os._exit(flag.exit_code)
        name = signal.Signals(number).name
        if number != signal.SIGUSR1:
            # In one go: a signal that comes while this one is looked at must find the mark.
            was_ordered, flag.is_ordered = flag.is_ordered, True
            if was_ordered or any(reason not in (name, "SIGUSR1") for reason in stops()):
                os._exit(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        if flag.reason is None:
            flag.reason = f"received {name}"

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def settle(flag: StopFlag, event: Event) -> None:
    """Fix the exit code where an event is the last one of the run."""
    match event:
        case RunFinished():
            flag.exit_code = ExitCode.DONE
        case RunStopped():
            flag.exit_code = ExitCode.RESUMABLE
        case RunFailed():
            flag.exit_code = event.exit_code
        case _:
            pass


def stops_asked(commands_path: Path, offset: int) -> list[str]:
    """Return the reasons of the stops asked for since an offset, those after an epoch left out."""
    try:
        commands, _ = read_commands(commands_path, offset)
    except OSError:
        return []
    found = (command for command in commands if isinstance(command, StopRun))
    return [command.reason for command in found if not command.after_epoch]

"""Ways of printing a run: bars on a terminal, plain lines, JSON lines, the summary alone.

Knows streams and the terminal; knows nothing of sessions and signals.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from enum import Enum
from typing import IO, Any, Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from ecotui.events import AnyEvent
from ecotui.narration import (
    epochs_done,
    pace,
    progress,
    remarks,
    scores,
    stage_progress,
    step_limit,
)
from ecotui.state import RunState
from ecotui.text import visible

PROGRESS_INTERVAL_SECONDS = 30.0
"""Plain output says how far the run is at most this often."""


Narrate = Callable[[AnyEvent, RunState], list[str]]
"""Gives the lines that an event is worth, after it was folded into the state."""


class Style(Enum):
    """How a run is printed."""

    BARS = "bars"
    BARS_ALONE = "bars_alone"
    """Bars without remarks: everything is told at the end."""
    PLAIN = "plain"
    JSON = "json"
    """The events themselves on stdout, plain lines on stderr."""
    QUIET = "quiet"
    """The summary only."""
    JSON_QUIET = "json_quiet"
    """The events themselves on stdout, the summary on stderr."""


class OutputGoneError(Exception):
    """Nobody reads the output any more, or it cannot be written."""


class Printer(Protocol):
    """One way of printing a run."""

    def say(self, text: str) -> None:
        """Print a line for the person, now."""

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print what an event is worth, after it was folded into the state."""

    def tick(self, state: RunState) -> None:
        """Bring moving parts up to date; called every 100 ms."""

    def finish(self, lines: list[str]) -> None:
        """Print the summary and leave the terminal as it was."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def choose_printer(style: Style, narrate: Narrate = remarks) -> Printer:
    """Return the printer of a style, on this process's stdout and stderr.

    Args:
        style: How to print.
        narrate: Gives the lines that an event is worth.
    """
    if style in (Style.BARS, Style.BARS_ALONE):
        console = Console(file=guarded(sys.stdout), highlight=False)
        return Bars(console, narrate if style is Style.BARS else _say_nothing)
    if style is Style.PLAIN:
        return Plain(guarded(sys.stdout), narrate)
    if style is Style.QUIET:
        return Quiet(guarded(sys.stdout))
    words = guarded(sys.stderr)
    human = Plain(words, narrate) if style is Style.JSON else Quiet(words)
    return JsonLines(guarded(sys.stdout), human)


def _say_nothing(event: AnyEvent, state: RunState) -> list[str]:
    del event, state
    return []


class Plain:
    """Lines for a log file: what happens, and how far it is every 30 seconds of the run."""

    def __init__(self, out: TextIO, narrate: Narrate = remarks) -> None:
        self._out = out
        self._narrate = narrate
        self._said_at = float("-inf")

    def say(self, text: str) -> None:
        """Print a line for the person, now."""
        self._out.write(visible(text) + "\n")
        self._out.flush()

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print the event's remarks, or the progress when it is due."""
        del line
        lines = self._narrate(event, state)
        if not lines and state.ending is None:
            # The run's own clock: who attaches late reads what an early one read.
            if event.at - self._said_at < PROGRESS_INTERVAL_SECONDS:
                return
            if self._said_at > float("-inf"):
                lines = [progress(state)]
        self._said_at = event.at
        for text in lines:
            self.say(text)

    def tick(self, state: RunState) -> None:
        """Do nothing: plain output has no moving parts."""

    def finish(self, lines: list[str]) -> None:
        """Print the summary."""
        for text in lines:
            self.say(text)

    def close(self) -> None:
        """Do nothing: plain output leaves no trace."""


class Quiet(Plain):
    """Nothing but the summary."""

    def say(self, text: str) -> None:
        """Print nothing."""

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print nothing."""

    def finish(self, lines: list[str]) -> None:
        """Print the summary."""
        for text in lines:
            super().say(text)


class JsonLines:
    """The events' own lines on one stream, words on another."""

    def __init__(self, out: TextIO, human: Printer) -> None:
        self._out = out
        self._human = human

    def say(self, text: str) -> None:
        """Print a line for the person, now."""
        self._human.say(text)

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print the line as it stands in the log."""
        self._out.write(line.decode("utf-8") + "\n")
        self._human.show(line, event, state)

    def tick(self, state: RunState) -> None:
        """Hand on what was written."""
        self._out.flush()
        self._human.tick(state)

    def finish(self, lines: list[str]) -> None:
        """Print the summary for the person."""
        self._out.flush()
        self._human.finish(lines)

    def close(self) -> None:
        """Hand on what was written."""
        self._out.flush()
        self._human.close()


class Bars:
    """Bars for the epochs, the steps and the stage, with remarks scrolling above them."""

    def __init__(self, console: Console, narrate: Narrate = remarks) -> None:
        self._console = console
        self._narrate = narrate
        self._progress = Progress(
            _text_column("{task.description}", width=14),
            BarColumn(bar_width=20),
            _text_column("{task.fields[note]}"),
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._epochs = self._progress.add_task("", total=None, visible=False, note="")
        self._steps = self._progress.add_task("", total=None, visible=False, note="")
        self._stage = self._progress.add_task("starting", total=None, note="")
        self._progress.start()

    def say(self, text: str) -> None:
        """Print a line above the bars, now."""
        self._console.print(Text(visible(text)), soft_wrap=True)

    def show(self, line: bytes, event: AnyEvent, state: RunState) -> None:
        """Print the event's remarks above the bars."""
        del line
        for text in self._narrate(event, state):
            self.say(text)

    def tick(self, state: RunState) -> None:
        """Draw the bars as the state has them."""
        self._show_training(state)
        self._show_stage(state)
        self._progress.refresh()

    def finish(self, lines: list[str]) -> None:
        """Take the bars away and print the summary."""
        self.close()
        for text in lines:
            self.say(text)

    def close(self) -> None:
        """Take the bars away."""
        for task in (self._epochs, self._steps, self._stage):
            self._progress.update(task, visible=False)
        self._progress.stop()

    def _show_training(self, state: RunState) -> None:
        is_training = state.epoch > 0 and state.phase == "running"
        done, total = epochs_done(state)
        self._progress.update(
            self._epochs,
            visible=is_training,
            description=f"Epoch {state.epoch}/{state.epochs_planned}",
            completed=done,
            total=total,
            note=scores(state),
        )
        self._progress.update(
            self._steps,
            visible=is_training,
            description=f"step {state.step_in_epoch}/{state.epoch_steps_planned}",
            completed=state.step_in_epoch,
            total=max(1, state.epoch_steps_planned),
            note=f"{pace(state)}{step_limit(state)}",
        )

    def _show_stage(self, state: RunState) -> None:
        stage = state.stage
        if state.phase == "setup" and stage is None:
            note = visible(state.doing, limit=40)
            self._progress.update(self._stage, visible=True, description="preparing", note=note)
        elif stage is None or stage.name == "train":
            self._progress.update(self._stage, visible=False)
        else:
            self._progress.update(
                self._stage,
                visible=True,
                description=visible(stage.name, limit=14),
                completed=stage.done,
                total=stage.total or None,
                note=visible(stage_progress(stage).partition(": ")[2], limit=40),
            )


def _text_column(template: str, width: int | None = None) -> TextColumn:
    column = Column(no_wrap=True, overflow="ellipsis", width=width)
    return TextColumn(template, markup=False, table_column=column)


class _Guarded:
    """A text stream that says `OutputGoneError` when it can no longer be written to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            return self._stream.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:
            raise self._gone(error) from None

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise self._gone(error) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _gone(self, error: Exception) -> OutputGoneError:
        # What is still in the buffer would fail again, loudly, when Python exits.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        return OutputGoneError(visible(error))


def guarded(stream: IO[str]) -> TextIO:
    """Return a stream whose failures are told apart from all others."""
    return cast(TextIO, _Guarded(cast(TextIO, stream)))

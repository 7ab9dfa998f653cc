"""A run followed in the foreground without a screen: read, fold, print, pass signals on.

Only a reader: what it prints anybody can print from the same files, at any time.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from types import FrameType

from ecotui.commands import DetachRun, StopRun
from ecotui.errors import EcoError, ExitCode
from ecotui.events import AnyEvent, EngineLost, Event, RunFailed, RunStarted
from ecotui.narration import remarks
from ecotui.paths import RunDir
from ecotui.printing import Narrate, OutputGoneError, Printer, Style, choose_printer, guarded
from ecotui.ringing import Ringing
from ecotui.session import Session
from ecotui.state import Ending, RunState, fold
from ecotui.summary import as_error, exit_code, summary_lines
from ecotui.text import visible

READ_INTERVAL_SECONDS = 0.1
STOPPING_A_RUN = "stopping: saving a checkpoint; press again to leave at once without saving"
STOPPING_A_JOB = "stopping: what was changed is put back; press again to leave at once"
Closing = Callable[[RunState, RunDir], list[str]]
"""How the end of a run is told."""
_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def choose_style(*, json: bool, quiet: bool) -> Style:
    """Return how to print, from the flags and from whether stdout is a terminal."""
    if json:
        return Style.JSON_QUIET if quiet else Style.JSON
    if quiet:
        return Style.QUIET
    return Style.BARS if sys.stdout.isatty() else Style.PLAIN


def follow(
    session: Session,
    *,
    style: Style,
    owner: bool,
    closing: Closing | None = None,
    narrate: Narrate = remarks,
    bell: bool = False,
) -> ExitCode:
    """Print a run until it ends, or until this reader is sent away.

    Args:
        session: The run, launched or attached to.
        style: How to print it.
        owner: Signals stop the run. Otherwise they only send this reader away.
        closing: How to tell the end of a short job. Its directory is not named, and a
            check that failed, which was told as it came, is not told again.
        narrate: Gives the lines that an event is worth.
        bell: Ring at what is critical, where a terminal is there to ring.

    Returns:
        What the command exits with.

    Raises:
        EcoError: The run that this reader owns failed before it began anything.
    """
    with _listening() as heard:
        try:
            printer = choose_printer(style, narrate)
            if bell and sys.stderr.isatty():
                printer = Ringing(printer, guarded(sys.stderr))
            return _Follower(session, printer, owner, closing).run(heard)
        except OutputGoneError as error:
            return _let_go(session, str(error), owner=owner)


def watch(session: Session, *, until: type[Event] | None = None) -> RunState:
    """Follow a run in silence, to its end or to the first event of a kind."""
    state = RunState()
    while not session.ended:
        found = session.read()
        for _, event in found:
            state = fold(state, event)
        if until is not None and any(isinstance(event, until) for _, event in found):
            break
        if not found:
            time.sleep(READ_INTERVAL_SECONDS)
    return state


class _Follower:
    """One reader's place in one run."""

    def __init__(
        self, session: Session, printer: Printer, owner: bool, closing: Closing | None
    ) -> None:
        self._session = session
        self._printer = printer
        self._owner = owner
        self._closing = closing
        self._state = RunState()
        self._is_introduced = closing is not None
        self._num_asked = 0
        self._last_signal = 0

    def run(self, heard: list[int]) -> ExitCode:
        if not self._is_introduced:
            self._printer.say(f"runs directory: {self._session.run.path.parent}")
        while not self._session.ended:
            read_something = self._read()
            while heard:
                if not self._answer(heard.pop(0)):
                    self._printer.close()
                    return ExitCode.DONE
            self._printer.tick(self._state)
            if not read_something:
                time.sleep(READ_INTERVAL_SECONDS)
        return self._end()

    def _read(self) -> bool:
        # What an earlier attempt stated was printed by its own reader.
        is_history = self._session.in_history
        found = self._session.read()
        if is_history:
            self._state = reduce(fold, (event for _, event in found), self._state)
            return bool(found)
        for line, event in found:
            before, self._state = self._state, fold(self._state, event)
            if self._state is not before:
                self._introduce(event)
                self._printer.show(line, event, self._state)
        unknown = self._session.num_unknown_lines
        if unknown != self._state.num_unknown_lines:
            self._state = replace(self._state, num_unknown_lines=unknown)
        return bool(found)

    def _introduce(self, event: AnyEvent) -> None:
        """Name the directory once it is sure to stay: a failed beginning removes it."""
        is_gone = isinstance(event, RunFailed) and event.discard
        if self._is_introduced or is_gone or not isinstance(event, RunStarted | Ending):
            return
        self._is_introduced = True
        run = self._session.run
        self._printer.say(f"run: {run.run_id} in {run.path}")

    def _answer(self, signum: int) -> bool:
        """Act on a signal, and say whether to stay."""
        name = self._session.run.run_id
        if signum == signal.SIGHUP or not self._owner:
            if self._owner:
                self._session.request(DetachRun())
            else:
                self._printer.say(f"detached; the run goes on. To come back: ecotui attach {name}")
            return False
        self._num_asked += 1
        self._last_signal = signum
        if self._num_asked == 1:
            self._printer.say(STOPPING_A_RUN if self._closing is None else STOPPING_A_JOB)
            self._session.request(StopRun(reason=signal.Signals(signum).name))
        else:
            self._printer.say("leaving at once, without saving")
            # Told apart from one signal that reached both the engine and its printer.
            with contextlib.suppress(EcoError):
                self._session.request(StopRun(reason=f"{signal.Signals(signum).name} again"))
            self._session.engine_signal(signum if self._num_asked == 2 else signal.SIGKILL)
        return True

    def _end(self) -> ExitCode:
        ending = self._state.ending
        is_gone = isinstance(ending, RunFailed) and ending.discard
        verdicts = {check.verdict for check in self._state.checks}
        verdicts |= {finding.verdict for finding in self._state.outlook.findings}
        is_told = self._closing is not None and "fail" in verdicts
        if self._owner and is_gone and not is_told:
            self._printer.close()
            raise as_error(self._state)
        lines = (self._closing or summary_lines)(self._state, self._session.run)
        if self._state.num_unknown_lines:
            lines.append(f"{self._state.num_unknown_lines} lines of the log are of a newer version")
        self._printer.finish(lines)
        if isinstance(ending, EngineLost) and self._num_asked > 1:
            is_interrupt = self._last_signal == signal.SIGINT
            return ExitCode.INTERRUPTED if is_interrupt else ExitCode.TERMINATED
        return exit_code(ending)


def _let_go(session: Session, why: str, *, owner: bool) -> ExitCode:
    """Leave a run that goes on, because nobody reads what is printed."""
    with contextlib.suppress(EcoError):
        if owner:
            session.request(DetachRun())
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(
            f"the output is closed ({visible(why)}); the run goes on: "
            f"ecotui attach {session.run.run_id}\n"
        )
        sys.stderr.flush()
    return ExitCode.DONE


@contextmanager
def _listening() -> Iterator[list[int]]:
    """Collect signals instead of dying of them; a hang-up that is ignored stays ignored."""
    heard: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        del frame
        heard.append(signum)

    earlier = {signum: signal.getsignal(signum) for signum in _HEARD}
    if earlier[signal.SIGHUP] == signal.SIG_IGN:
        del earlier[signal.SIGHUP]
    for signum in earlier:
        signal.signal(signum, note)
    try:
        yield heard
    finally:
        for signum, handler in earlier.items():
            signal.signal(signum, handler)

"""One engine seen from outside: launch it, follow it, ask things of it, notice its death.

The only module that starts an engine, but for the one that waits for its run (`spare_engine`).
Knows the life of an engine; what the events mean is the fold's business.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ecotui import lock
from ecotui.commands import Command, append_command
from ecotui.errors import EcoError
from ecotui.events import TERMINAL_KINDS, AnyEvent, EngineLost, RunFailed
from ecotui.paths import RunDir
from ecotui.spare_engine import SpareEngine
from ecotui.storage import has_content, remove
from ecotui.stream import MAX_BITE_BYTES, Tail, whole_bytes
from ecotui.text import visible, visible_lines

ENGINE_MODULE = "ecotui.engine"


def engine_argv() -> tuple[str, ...]:
    """Return how an engine is started, so that no file of the working directory is imported.

    A random.py there would otherwise be run in place of Python's own. Without `-P`, the
    working directory comes first on the path; it is needed where this package lies there
    and is not installed.
    """
    elsewhere = [entry for entry in sys.path if entry and not _is_working_directory(entry)]
    elsewhere += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    spec = importlib.machinery.PathFinder.find_spec("ecotui", elsewhere)
    own = os.path.join(os.path.dirname(os.path.realpath(__file__)), "__init__.py")
    is_found = spec is not None and os.path.realpath(spec.origin or "") == own
    return (sys.executable, *(("-P",) if is_found else ()), "-m", ENGINE_MODULE)


def _is_working_directory(folder: str) -> bool:
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:
        return False


ENGINE_ARGV = engine_argv()
"""What is started; the run's path follows."""
SECONDS_TO_TAKE_THE_LOCK = 30.0
"""An engine that has not begun by then is taken for dead."""
SECONDS_TO_LEAVE = 10.0
"""How long an engine may take from its last event to its exit before nobody waits any more."""
MAX_LAST_WORDS = 8
_LOG_TAIL_BYTES = 16_384
_GUESSES = {
    "SIGKILL": ", often the system running out of memory",
    "SIGABRT": ", a library giving up on an error of its own",
    "SIGSEGV": ", a fault in native code",
    "SIGBUS": ", often shared memory or a disk that is full",
    "SIGILL": ", a library made for another processor",
}


def launch(
    run: RunDir,
    *,
    owned: bool,
    engine_argv: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    ends_at: float | None = None,
    spare: SpareEngine | None = None,
) -> Session:
    """Start the engine of a run in a process of its own that outlives this one.

    Args:
        run: A directory made by `ecotui.storage`.
        owned: The engine saves and stops when this process is gone without a word.
        engine_argv: Command to start instead of the engine, before the run's path.
        settings: `key=value`, which a later attempt changes before it goes on.
        ends_at: When the time given to the run is over, unix seconds; None for no limit.
        spare: Takes the run, where it has a process that is ready.

    Raises:
        EcoError: The process cannot be started.
    """
    argv = list(engine_argv or ENGINE_ARGV)
    argv += [str(run.path), *(["--owner-pid", str(os.getpid())] if owned else [])]
    argv += ["--asked-at", repr(time.time())]
    argv += [] if ends_at is None else ["--ends-at", repr(ends_at)]
    argv += [word for setting in settings for word in ("--set", setting)]
    history_bytes = whole_bytes(run.events)
    try:
        with run.log.open("ab") as log:
            process = None if spare is None else spare.take(argv, run.log)
            process = process or subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
    except OSError as error:
        raise EcoError(
            f"the engine cannot be started: {visible(error)}",
            "a process that runs this Python and may write its log",
            f"look at the directory {visible(run.path)} and at the free memory",
        ) from None
    return Session(run, process=process, launched_at=time.time(), history_bytes=history_bytes)


def attach(run: RunDir) -> Session:
    """Follow a run that somebody else started, alive or not, from its first event."""
    try:
        launched_at = run.job.stat().st_mtime
    except OSError:
        launched_at = 0.0
    return Session(run, process=None, launched_at=launched_at, history_bytes=0)


class Session:
    """The life of one engine, read from its files; made by `launch` and `attach`."""

    def __init__(
        self,
        run: RunDir,
        *,
        process: subprocess.Popen[bytes] | None,
        launched_at: float,
        history_bytes: int,
    ) -> None:
        self.run = run
        self._process = process
        self._launched_at = launched_at
        self._history_bytes = history_bytes
        self._tail = Tail(run.events)
        self._ending: AnyEvent | None = None
        self._ended = False
        self._checkpoint: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the last event of the run was read."""
        return self._ended

    @property
    def ending(self) -> AnyEvent | None:
        """How the last attempt read so far ended; None while it goes on."""
        return self._ending

    @property
    def in_history(self) -> bool:
        """Whether the next events to be read were stated before this launch."""
        return self._tail.offset < self._history_bytes

    @property
    def num_unknown_lines(self) -> int:
        """Lines of the log passed over because this version does not know them."""
        return self._tail.num_unknown

    @property
    def exit_status(self) -> int | None:
        """How the launched engine left, as `Popen.poll` says; None while it lives or unknown."""
        return None if self._process is None else self._process.poll()

    def is_alive(self) -> bool:
        """Say whether the engine lives, or may still be starting."""
        # Asked before the lock is looked at: the engine may take it in between.
        has_begun = self._has_held_the_lock()
        if lock.is_held(self.run.lock):
            return True
        if self._process is not None and self._process.poll() is not None:
            return False
        if self._process is not None and has_begun:
            return True
        return not has_begun and self._is_young()

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        """Return the next events with their lines; an `EngineLost` if it died without one.

        Returns at once, with an empty list when there is nothing new.
        """
        found: list[tuple[bytes, AnyEvent]] = []
        if self._ended or self._advance(found) or self._ended or self.is_alive():
            return found
        # Its end may have been written between the read and the look at the lock.
        while self._advance(found):
            pass
        if not self._ended:
            found.append(self._lost())
        return found

    def request(self, command: Command) -> None:
        """Ask the engine for something; it answers with an event.

        Raises:
            EcoError: The request cannot be written.
        """
        try:
            append_command(self.run.commands, command)
        except OSError as error:
            raise EcoError(
                f"the request cannot be written: {visible(error)}",
                f"a run directory that this user may write: {visible(self.run.path)}",
                "ask as the user who started the run, or free some disk space",
            ) from None

    def engine_signal(self, signum: int) -> None:
        """Send a signal to the engine's process, if it lives on this machine."""
        pid = self._engine_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)

    def wait_until_gone(self, seconds: float = SECONDS_TO_LEAVE) -> bool:
        """Wait for the engine's process to leave, and say whether it has."""
        deadline = time.monotonic() + seconds
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._is_there()

    def discard(self) -> bool:
        """Remove the directory of a run that failed before it began anything.

        Returns:
            Whether it is gone. It stays where the engine did not say so, where
            anything is committed, and while the engine lives.
        """
        if not (isinstance(self._ending, RunFailed) and self._ending.discard):
            return False
        if has_content(self.run) or not self.wait_until_gone():
            return False
        remove(self.run)
        return True

    def _advance(self, found: list[tuple[bytes, AnyEvent]]) -> bool:
        """Add the next events, and say whether the log had any more whole lines."""
        offset = self._tail.offset
        # Never across the border: what is read at once is history or news.
        left = self._history_bytes - offset
        taken = self._tail.read(limit=min(left, MAX_BITE_BYTES) if left > 0 else MAX_BITE_BYTES)
        for _, event in taken:
            if event.kind == "checkpoint_saved":
                self._checkpoint = event.path
            if event.kind in TERMINAL_KINDS:
                self._ending = event
            elif event.kind == "engine_started":
                self._ending = None
        found += taken
        has_moved = self._tail.offset > offset
        # A torn last line never becomes whole, so the size alone does not tell the end.
        at_end = not has_moved or self._tail.offset >= _size(self.run.events)
        # What was there before the launch tells of earlier attempts.
        is_news = self._tail.offset > self._history_bytes
        self._ended = self._ending is not None and at_end and is_news
        return has_moved

    def _lost(self) -> tuple[bytes, AnyEvent]:
        self._note_the_cause()
        event = EngineLost(
            at=time.time(), last_words=last_words(self.run.log), checkpoint=self._checkpoint
        )
        self._ending, self._ended = event, True
        return event.model_dump_json().encode(), event

    def _note_the_cause(self) -> None:
        """Add how the engine died to its log, so that later readers know it too."""
        if self._process is None:
            return
        cause = _cause(self._process.poll())
        if self._process.poll() is None:
            self._process.kill()
        with contextlib.suppress(OSError), self.run.log.open("ab") as log:
            log.write(f"ecotui: {cause}\n".encode())

    def _is_there(self) -> bool:
        has_process = self._process is not None and self._process.poll() is None
        return has_process or lock.is_held(self.run.lock)

    def _has_held_the_lock(self) -> bool:
        holder = lock.read_holder(self.run.lock)
        if holder is None:
            return False
        return self._process is None or holder.started_at >= self._launched_at - 1.0

    def _is_young(self) -> bool:
        return time.time() - self._launched_at < SECONDS_TO_TAKE_THE_LOCK

    def _engine_pid(self) -> int | None:
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        holder = lock.read_holder(self.run.lock)
        if holder is None or holder.host != socket.gethostname():
            return None
        return holder.pid if lock.is_held(self.run.lock) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def last_words(log: Path) -> tuple[str, ...]:
    """Return the last lines of an engine's log, made harmless."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, _size(log) - _LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [line for line in visible_lines(text, limit=400) if line.strip()]
    return tuple(lines[-MAX_LAST_WORDS:])


def _cause(exit_status: int | None) -> str:
    if exit_status is None:
        return f"the engine did not begin within {SECONDS_TO_TAKE_THE_LOCK:.0f} s and was ended"
    if exit_status >= 0:
        return f"the engine left with exit status {exit_status} and without a last event"
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:
        return f"the engine was killed by signal {-exit_status}"
    guess = _GUESSES.get(name, "")
    return f"the engine was killed by signal {-exit_status} ({name}){guess}"

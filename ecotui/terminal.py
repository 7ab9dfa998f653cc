"""The terminal may go away or stall: the app then leaves at once, and the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

from ecotui.errors import ExitCode, UsageError

LOOK_INTERVAL_SECONDS = 0.5
SECONDS_TO_LEAVE = 1.2
"""With the interval of looking, less than the two seconds in which the app is gone."""
SYNC_QUERY = "\x1b[?2026$p"
"""Asks whether output can be synchronised: any terminal that knows it answers at once."""


def check_terminal() -> None:
    """Refuse to draw where nobody can see it or press a key.

    Raises:
        UsageError: Standard input or output is no terminal.
    """
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return
    raise UsageError(
        "the app needs a terminal on both ends, and there is none",
        "standard input and output on a terminal that can be drawn on",
        "print lines instead: ecotui --headless CONFIG, or ecotui attach RUN --headless",
    )


def leave_with_the_terminal(leave: Callable[[], None]) -> None:
    """Call `leave` on SIGTERM, on SIGHUP, and when the terminal is found gone.

    Must be called within a running event loop, on the main thread. Neither the loop nor the
    main thread has to be free for it: with a terminal that takes no more bytes, the loop waits
    for room, and both the signals' handlers and the look at the terminal still run.
    """
    loop = asyncio.get_running_loop()
    settings = _terminal_settings()
    is_leaving = threading.Event()

    def go(*_: object) -> None:
        if is_leaving.is_set():
            return
        is_leaving.set()
        loop.call_soon_threadsafe(leave)
        # A terminal that is gone or stalled must not hold the process back, neither here nor
        # in a thread that Python waits for once the loop is over.
        reaper = threading.Timer(SECONDS_TO_LEAVE, _end, (settings,))
        reaper.daemon = True
        reaper.start()

    def look() -> None:
        # Where hang-ups are ignored or go elsewhere, nothing else tells.
        while not is_leaving.is_set():
            if _is_gone():
                go()
            time.sleep(LOOK_INTERVAL_SECONDS)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, go)
    threading.Thread(target=look, daemon=True, name="ecotui-terminal").start()


def frames_waiting(driver: object) -> int:
    """Return how many writes the terminal has not taken yet; 0 where that cannot be told.

    Textual 8.2 writes from a thread with a queue of at most 30 and has no public way to ask.
    """
    queue: Any = getattr(getattr(driver, "_writer_thread", None), "_queue", None)
    return 0 if queue is None else int(queue.qsize())


def _end(settings: list[Any] | None) -> None:
    """Leave without looking back, the terminal's modes as they were found."""
    if settings is not None:
        # Never waits, unlike writing: the keys work again even where the picture stays.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(_descriptor(), termios.TCSANOW, settings)
    os._exit(ExitCode.DONE)


def _terminal_settings() -> list[Any] | None:
    try:
        found: list[Any] = termios.tcgetattr(_descriptor())
    except (termios.error, OSError):
        return None
    found[3] |= termios.ECHO | termios.ICANON | termios.ISIG
    found[0] |= termios.ICRNL
    return found


def _descriptor() -> int:
    return sys.__stdin__.fileno() if sys.__stdin__ else 0


def _is_gone() -> bool:
    try:
        os.tcgetpgrp(_descriptor())
    except OSError:
        return True
    return False

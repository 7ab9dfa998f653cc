"""The terminal may go away: the app then leaves at once, and the run goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable

from ecotui.errors import ExitCode, UsageError

LOOK_INTERVAL_SECONDS = 2.0
SECONDS_TO_LEAVE = 3.0


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

    Must be called within a running event loop, on the main thread.
    """
    loop = asyncio.get_running_loop()

    def go() -> None:
        leave()
        # A terminal that is gone or stalled must not hold the process back, neither here nor
        # in a thread that Python waits for once the loop is over.
        reaper = threading.Timer(SECONDS_TO_LEAVE, os._exit, (ExitCode.DONE,))
        reaper.daemon = True
        reaper.start()

    def look() -> None:
        # Where hang-ups are ignored or go elsewhere, nothing else tells.
        if _is_gone():
            go()
        else:
            loop.call_later(LOOK_INTERVAL_SECONDS, look)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, go)
    loop.call_later(LOOK_INTERVAL_SECONDS, look)


def _is_gone() -> bool:
    try:
        os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0)
    except OSError:
        return True
    return False

"""Work that blocks for seconds, done aside while requests are looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.1

_T = TypeVar("_T")


def while_polling(work: Callable[[], _T], poll: Callable[[], None]) -> _T:
    """Do work in a thread of its own, and return its result.

    Args:
        work: For what waits on the network or the disk. What it raises is raised here.
        poll: Called in this thread meanwhile; what it raises leaves the work behind,
            which ends with the process.
    """
    results: list[_T] = []
    failures: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:  # Told by the thread that waits for it.
            failures.append(error)

    thread = threading.Thread(target=do, name="waited for", daemon=True)
    thread.start()
    while thread.is_alive():
        poll()
        thread.join(POLL_SECONDS)
    if failures:
        raise failures[0]
    return results[0]

"""One piece of work at a time in a thread that stays behind training."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

from ecotui.engine.checkpoint import Steps

NICENESS = 15
"""Of 19: a core that training wants gives the writing some 3 % of its time."""


class Background:
    """Does work in steps in a thread of low priority; who waits for it, does the rest at once.

    A waiting caller takes the work over between two of its steps: on a busy
    machine the thread alone might starve at its priority.
    """

    def __init__(self) -> None:
        self._work: Steps[None] | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._is_to_yield = threading.Event()

    @property
    def is_busy(self) -> bool:
        """Whether the work goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Steps[None]) -> None:
        """Begin a work, after finishing the one before.

        Raises:
            BaseException: Whatever the one before raised.
        """
        self.wait()
        self._work = work
        self._is_to_yield.clear()
        self._thread = threading.Thread(target=self._run, name="saving", daemon=True)
        self._thread.start()

    def wait(self, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Do the rest of the work in the calling thread.

        Args:
            unless: Asked before each step; from a yes on the rest is not done at all.

        Raises:
            BaseException: Whatever the work raised.
        """
        work = self._taken_back()
        if work is not None:
            try:
                while not unless() and next(work, self) is None:
                    pass
            finally:
                work.close()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise once what the thread could not handle itself.

        Raises:
            BaseException: That.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _taken_back(self) -> Steps[None] | None:
        if self._thread is not None:
            self._is_to_yield.set()
            self._thread.join()
            self._thread = None
        work, self._work = self._work, None
        return work

    def _run(self) -> None:
        lower_priority()
        work = self._work
        if work is None:
            return
        try:
            for _ in work:
                if self._is_to_yield.is_set():
                    return
            self._work = None
        except BaseException as error:
            self._failure, self._work = error, None


def lower_priority() -> None:
    """Make the calling thread the least urgent one, where that is possible for a thread alone."""
    if sys.platform.startswith("linux"):
        # Refused in some containers: then it competes with training.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

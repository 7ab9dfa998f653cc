"""Loads and tries in this process what a child has survived before, in the same environment.

It spares the child and nothing else: everything is imported and tried again. What goes wrong
makes the environment an unknown one, and a child has to say what it is. Where there is an
accelerator a child always goes first: a driver can fail while nothing else changes.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType, TracebackType
from typing import Self

from ecotui.engine.probe_behaviours import BEHAVIOURS
from ecotui.engine.probe_inventory import COMMONLY_SHADOWED, shadows_in
from ecotui.engine.probing import IMPORTS, POLL_SECONDS, Answer, Wish, is_accelerator_likely
from ecotui.engine.survived import Survived
from ecotui.text import visible


def is_possible(survived: Survived) -> bool:
    """Say whether this process may load everything without a child that goes ahead."""
    return not is_accelerator_likely() and survived.is_known() and not _has_shadows(survived)


def relive(wish: Wish, survived: Survived, poll: Callable[[], None]) -> dict[str, Answer] | None:
    """Import everything and try every behaviour; None where a child has to.

    Args:
        wish: What is to be tried.
        survived: What is known of this environment; forgotten where anything fails.
        poll: Called every 50 ms while importing; what it raises ends it.
    """
    with survived.attempt() as is_marked:
        if not is_marked:
            return None
        try:
            with Interruptible(poll):
                answers = {name: _imported(name) for name in IMPORTS}
            found = {"torch": answers["torch"]}
            for name in wish.behaviours:
                poll()
                found[name] = Answer(BEHAVIOURS[name](wish.request()))
        except (Exception, SystemExit) as error:
            survived.forget()
            logging.getLogger(__name__).warning(
                "sound before, and not any more: %s: %s", type(error).__name__, visible(error)
            )
            return None
    return found


class Interruptible:
    """Lets a wish to stop be heard between two modules: a finder for `sys.meta_path`.

    Args:
        poll: Called at most every 50 ms; what it raises ends the import.
    """

    def __init__(self, poll: Callable[[], None]) -> None:
        self._poll = poll
        self._polled_at = float("-inf")

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Listen; find nothing."""
        del name, path, target
        now = time.monotonic()
        if now - self._polled_at >= POLL_SECONDS:
            self._polled_at = now
            self._poll()

    def __enter__(self) -> Self:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.meta_path.remove(self)


def _imported(name: str) -> Answer:
    module = importlib.import_module(name)
    return Answer(
        {
            "version": str(getattr(module, "__version__", "")),
            "file": str(getattr(module, "__file__", "") or ""),
        }
    )


def _has_shadows(survived: Survived) -> bool:
    """Say whether a file where the person is has the name of a module that would be loaded."""
    try:
        folder = os.path.realpath(os.getcwd())
    except OSError:
        return True
    return bool(shadows_in(folder, (*COMMONLY_SHADOWED, *survived.modules())))

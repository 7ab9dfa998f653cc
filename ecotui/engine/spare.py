"""An engine that has no run yet: it loads its libraries, and waits for one.

It loads them without a child that goes ahead only where that is allowed at the start of a run, too:
in an environment that a child has survived, without an accelerator. Where anything that loading
depends on has changed when the run comes, the process begins anew as another program, and the run
begins as if nobody had waited.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.probing import IMPORTS
from ecotui.engine.reliving import is_possible
from ecotui.engine.survived import Survived, hold_settings
from ecotui.spare_engine import READY

_OWN = (
    "ecotui.engine.runner",
    "ecotui.engine.announcement",
    "ecotui.engine.assembly",
    "ecotui.engine.planning.deciding",
    "ecotui.engine.preflight",
    "ecotui.engine.readiness",
    "ecotui.engine.resumption",
    "ecotui.engine.saving",
    "ecotui.engine.trainer",
)
"""What a training imports of the engine, with all that they import."""
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a session asks for.

    Attributes:
        argv: The command that would start the engine of the run.
        arguments: Those of the run in it.
        log: Where the output goes.
    """

    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    log: str


def wait_for_a_run(own_argv: Sequence[str]) -> list[str]:
    """Load everything, say so, and return the arguments of the run that is given.

    Ends the process where none is given, or where nothing may be loaded.

    Args:
        own_argv: The command that started this process, without what makes it wait.
    """
    environ = dict(os.environ)  # libraries set some variables as they are loaded
    if not _is_loaded():
        os._exit(0)
    with contextlib.suppress(OSError):  # who is gone shows in what is read
        os.write(sys.stdout.fileno(), READY)
    asked = _asked(sys.stdin.buffer.readline(_MAX_BYTES), len(own_argv))
    if asked is None:
        os._exit(0)
    _speak_into(asked.log)
    if not is_possible(Survived()):
        os.execve(asked.argv[0], asked.argv, environ)  # noqa: S606 - the command of the session itself
    return list(asked.arguments)


def _is_loaded() -> bool:
    """Import everything, and say whether that went well; a death of it is remembered."""
    hold_settings()
    survived = Survived()
    if not is_possible(survived):
        return False
    with survived.attempt() as is_marked:
        if not is_marked:
            return False
        with contextlib.suppress(Exception, SystemExit):
            for name in (*IMPORTS, *_OWN):
                importlib.import_module(name)
            return True
    return False


def _asked(line: bytes, num_before: int) -> _Asked | None:
    """Read what was asked for; None where the session is gone."""
    if not line.endswith(b"\n"):
        return None
    told = json.loads(line)
    argv = tuple(map(str, told["argv"]))
    return _Asked(argv, argv[num_before:], str(told["log"]))


def _speak_into(log: str) -> None:
    """Write to a file from now on, and read nothing more."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    os.dup2(nothing, 0)
    os.close(target)
    os.close(nothing)

"""Runs the commands of a plan, and makes everything undone where they must not stand.

Knows how an environment is changed and put back; whether a change is good is judged elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecotui import lock
from ecotui.engine.command import run_command
from ecotui.engine.emit import Emit, span
from ecotui.engine.kept_files import KeptFiles, abandoned, keep
from ecotui.engine.packages import Surroundings, changes, survey
from ecotui.engine.repair_plan import Plan
from ecotui.errors import EcoError, EnvironmentFaultError
from ecotui.events import RepairSaid, RepairStepStarted
from ecotui.text import counted, listed, visible

STEP_LIMIT_SECONDS = 3_600.0
"""For one command: a torch of 2 GB comes in an hour over a line of 5 Mbit/s."""
_CHECK_LIMIT_SECONDS = 60.0
_LOCK_FILE = ".ecotui-repair.lock"
_ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_REPORT", "PIP_USER")
"""Settings by which pip would install somewhere else, or not at all."""
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class Undone:
    """How putting everything back went.

    Attributes:
        words: What is so now, for a person.
        is_whole: Everything is as it was.
    """

    words: str
    is_whole: bool


@contextmanager
def alone(around: Surroundings) -> Iterator[None]:
    """Hold the environment's lock: two repairs at once would undo each other.

    Raises:
        EnvironmentFaultError: Another repair works there.
    """
    path = around.site[0] / _LOCK_FILE
    try:
        held = lock.acquire(path)
    except lock.AlreadyHeldError as error:
        who = f" (pid {error.holder.pid})" if error.holder else ""
        raise EnvironmentFaultError(
            f"another repair changes {visible(around.prefix)}{who}",
            "one repair at a time",
            "wait until it has ended",
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        held.release()


def keep_all(around: Surroundings) -> KeptFiles:
    """Keep every file of the environment's packages, and the commands they brought.

    Raises:
        EnvironmentFaultError: They cannot be kept; nothing has been changed.
    """
    try:
        return keep(around.site[0], (*around.site, around.scripts))
    except EcoError as error:
        raise EnvironmentFaultError(error.what, error.expected, error.remedy) from error
    except OSError as error:
        raise EnvironmentFaultError(
            f"the packages cannot be kept while they are changed: {visible(error, limit=300)}",
            "an environment all of whose files this user may read and link",
            "check the owner of its files, or make the environment anew",
        ) from error


def run_steps(
    plan: Plan, emit: Emit, poll: Callable[[], None], *, limit_seconds: float = STEP_LIMIT_SECONDS
) -> str:
    """Run the commands of a plan, up to the first that fails.

    Returns:
        How it failed, in words; empty where all went well.

    Emits:
        StageStarted, StageAdvanced, StageFinished, RepairStepStarted, RepairSaid.
    """
    with (
        span(emit, "repair", total=len(plan.steps), unit="steps") as stage,
        tempfile.TemporaryDirectory(prefix="ecotui-", ignore_cleanup_errors=True) as folder,
    ):
        for number, step in enumerate(plan.steps, start=1):
            emit(RepairStepStarted(number=number, argv=step.argv))
            fault = run_command(
                step.argv,
                folder=Path(folder),
                environ=_environ(folder),
                poll=poll,
                say=lambda line: emit(RepairSaid(line=line)),
                limit_seconds=limit_seconds,
            )
            if fault:
                return f"step {number} failed, {fault}"
            stage.advance()
    return ""


def put_back(kept: KeptFiles, before: Surroundings | None, python: str) -> Undone:
    """Make the environment what it was, and prove it by its files and its versions.

    Args:
        kept: Its files.
        before: Its packages, where they are known.
        python: Its interpreter.
    """
    with undisturbed():
        try:
            kept.put_back()
            wrong = kept.differences()
        except OSError as error:
            return _half(kept, str(error))
        if wrong:
            return _half(kept, f"other than before: {listed(wrong, limit=3)}")
        try:
            after = survey(python)
        except EnvironmentFaultError as error:
            return _half(kept, error.what)
        others = () if before is None else changes(before, after)
        if others:
            return _half(kept, f"other than before: {listed(others, limit=3)}")
        kept.drop()
        number = counted(len(after.packages), "package")
        return Undone(f"the {number} are as they were, file by file", is_whole=True)


def recover(around: Surroundings) -> Undone | None:
    """Put back what a repair that was cut off had changed; None where there was none."""
    kept = abandoned(around.site[0])
    return None if kept is None else put_back(kept, None, around.python)


def conflicts(around: Surroundings, uv: str | None) -> frozenset[str]:
    """Return the wants of installed packages that are not met, as the installer words them."""
    argv = [around.python, "-m", "pip", "check"]
    if not around.has_pip:
        argv = [str(uv), "pip", "check", "--python", around.python]
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                env=_environ(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_CHECK_LIMIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return frozenset()  # What cannot be told is not told; the checks decide.
    lines = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
    return frozenset(
        visible(line, limit=200)
        for line in lines
        if " requires " in line or " requirement " in line
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Be deaf to signals: a second wish to stop would leave the environment in pieces.

    Blocking them would not do: another thread would take them, and its handler run here.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Handlers belong to the main thread.
        return
    earlier = {number: signal.signal(number, lambda *_: None) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _half(kept: KeptFiles, why: str) -> Undone:
    words = (
        f"not everything could be put back ({visible(why, limit=300)}); what was kept lies in "
        f"{visible(kept.folder)}, and the same command begins by trying again"
    )
    return Undone(words, is_whole=False)


def _environ(folder: str) -> dict[str, str]:
    """Return the variables for an installer: no questions, no bars, its scraps in one place."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return kept | {
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_NO_COLOR": "1",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": folder,
    }

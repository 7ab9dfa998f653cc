"""What the command line's `doctor` and `preflight` do: examine, and train nothing."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from ecotui import headless, session, storage
from ecotui.config_file import load_config
from ecotui.errors import UsageError
from ecotui.jobs import DiagnoseJob, PreflightJob
from ecotui.narration import findings, remarks
from ecotui.paths import RunDir, choose_runs_dir
from ecotui.printing import Narrate
from ecotui.state import RunState
from ecotui.summary import verdict_lines
from ecotui.text import visible

SOUND = "the environment is sound"


def doctor(runs_dir: str | None, *, python: str | None, as_json: bool) -> int:
    """Examine an environment and print a line a check; exit code 0, or 5 if one failed.

    Args:
        runs_dir: Where runs are kept; its disk is looked at.
        python: Another interpreter to examine instead of this one.
        as_json: The events on stdout, words on stderr.

    Raises:
        UsageError: No such interpreter.
    """
    return _diagnose(runs_dir, _interpreter(python), "no", as_json=as_json)[0]


def repair(runs_dir: str | None, *, python: str | None, as_json: bool, yes: bool) -> int:
    """Mend an environment, or say what would; exit code 0 where no check fails any more.

    Args:
        runs_dir: Where runs are kept; its disk is looked at.
        python: Another interpreter whose packages are meant instead of this one's.
        as_json: The events on stdout, words on stderr.
        yes: Do it. Otherwise it is told, and asked where there is somebody to ask.

    Raises:
        UsageError: No such interpreter.
    """
    chosen = _interpreter(python)
    if yes:
        return _diagnose(runs_dir, chosen, "apply", as_json=as_json)[0]
    code, state = _diagnose(runs_dir, chosen, "plan", as_json=as_json)
    plan = state.repair.plan
    has_somebody = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if plan is None or plan.refusal or state.repair.end is None or not has_somebody:
        return code
    if not click.confirm("Do it now?"):
        return code
    return _diagnose(runs_dir, chosen, "apply", as_json=as_json)[0]


def _interpreter(python: str | None) -> str | None:
    """Return the path of the interpreter named; None where it is our own.

    Links stay as they are: that of a virtual environment is what makes it one.
    """
    if python is None:
        return None
    found = shutil.which(python)
    if found is None:
        raise UsageError(
            f"--python {visible(python)} is no program that can be run",
            "the path of a Python interpreter, 3.8 or later",
            "name the one of the environment, such as --python .venv/bin/python",
        )
    path = os.path.abspath(found)
    return None if path == os.path.abspath(sys.executable) else path


def _diagnose(
    runs_dir: str | None,
    python: str | None,
    repair: Literal["no", "plan", "apply"],
    *,
    as_json: bool,
) -> tuple[int, RunState]:
    job = DiagnoseJob(
        runs_path=str(choose_runs_dir(runs_dir).absolute()), python=python, repair=repair
    )
    # Not among the runs: that they cannot be written to is a finding, no obstacle.
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        made = storage.create_job(job, Path(folder))
        return _follow(made, SOUND, as_json=as_json, narrate=findings)


def preflight(
    reference: str, settings: Sequence[str], runs_dir: str | None, *, as_json: bool
) -> int:
    """Check what a config asks for; exit code 0, 5 (environment) or 3 (data or model).

    Raises:
        UsageError: No such config, or one that is not valid.
    """
    loaded = load_config(reference, settings)
    folder = choose_runs_dir(runs_dir)
    is_new = not folder.exists()
    made = storage.create_job(PreflightJob(), folder, loaded.config)
    try:
        again = [part for setting in settings for part in ("--set", setting)]
        command = shlex.join(["ecotui", "--headless", reference, *again])
        return _follow(made, f"ready to train: {visible(command)}", as_json=as_json)[0]
    finally:
        if made.path.exists():
            storage.remove(made)
        if is_new:
            with contextlib.suppress(OSError):  # A run was begun there meanwhile.
                folder.rmdir()


def _follow(
    made: RunDir, sound: str, *, as_json: bool, narrate: Narrate = remarks
) -> tuple[int, RunState]:
    last = RunState()

    def closing(state: RunState, run: RunDir) -> list[str]:
        nonlocal last
        del run
        last = state
        return verdict_lines(state, sound)

    engine = session.launch(made, owned=True)
    style = headless.choose_style(json=as_json, quiet=False)
    try:
        return headless.follow(
            engine, style=style, owner=True, closing=closing, narrate=narrate
        ), last
    finally:
        engine.wait_until_gone()

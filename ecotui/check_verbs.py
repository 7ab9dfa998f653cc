"""What the command line's `doctor` and `preflight` do: examine, and train nothing."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import click

from ecotui import headless, session, storage
from ecotui.config_file import load_config
from ecotui.errors import EcoError, UsageError
from ecotui.examination_text import examination_lines
from ecotui.jobs import DiagnoseJob
from ecotui.narration import remarks
from ecotui.paths import RunDir, choose_runs_dir, expanded
from ecotui.preflight_text import preflight_lines
from ecotui.printing import Narrate, Style
from ecotui.repair_text import repair_lines, repair_remarks
from ecotui.state import RunState
from ecotui.terminal_facts import look_at_terminal
from ecotui.text import visible


def doctor(runs_dir: str | None, *, python: str | None = None, as_json: bool) -> int:
    """Examine an environment and print what was found, the cause first; exit code 0 or 5.

    Args:
        runs_dir: Whose disk is looked at; the default place when None.
        python: Interpreter to examine; the one that runs ecotui when None.
        as_json: The events on stdout, as JSON lines.

    Raises:
        UsageError: There is no such interpreter.
    """
    job = _job(runs_dir, python)
    style = _told_at_the_end(as_json=as_json)
    return _in_passing(job, lambda made: _follow(made, style, examination_lines))


def _told_at_the_end(*, as_json: bool) -> Style:
    """Return how to print an examination whose findings are put in order at its end."""
    style = Style.JSON_QUIET if as_json else headless.choose_style(json=False, quiet=False)
    return {Style.PLAIN: Style.QUIET, Style.BARS: Style.BARS_ALONE}.get(style, style)


def repair(runs_dir: str | None, *, python: str | None, as_json: bool, yes: bool) -> int:
    """Mend an environment, or say what would; exit code 0 where no check fails any more.

    Args:
        runs_dir: Whose disk is looked at; the default place when None.
        python: Interpreter whose packages are meant; the one that runs ecotui when None.
        as_json: The events on stdout, as JSON lines.
        yes: Do it. Otherwise it is told, and asked where there is somebody to ask.

    Raises:
        UsageError: There is no such interpreter.
    """
    style = Style.JSON if as_json else headless.choose_style(json=False, quiet=False)
    last = RunState()

    def closing(state: RunState) -> list[str]:
        nonlocal last
        last = state
        return repair_lines(state)

    def run(mode: Literal["plan", "apply"]) -> int:
        job = _job(runs_dir, python).model_copy(update={"repair": mode})
        return _in_passing(job, lambda made: _follow(made, style, closing, repair_remarks))

    if yes:
        return run("apply")
    code = run("plan")
    plan = last.repair.plan
    has_somebody = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    if plan is None or plan.refusal or not has_somebody or not click.confirm("Do it now?"):
        return code
    return run("apply")


def _job(runs_dir: str | None, python: str | None) -> DiagnoseJob:
    return DiagnoseJob(
        runs_path=str(choose_runs_dir(runs_dir)),
        python=None if python is None else _interpreter(python),
        terminal=look_at_terminal(),
    )


def _in_passing(job: DiagnoseJob, act: Callable[[RunDir], int]) -> int:
    """Do a job in a directory that goes again.

    Not among the runs: that they cannot be written to is a finding, no obstacle.
    """
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        return act(storage.create_job(job, Path(folder)))


def _interpreter(path: str) -> str:
    """Return the absolute path of an interpreter that a person named.

    Links are kept: an environment's interpreter is a link to another's.

    Raises:
        UsageError: It is no file that can be run.
    """
    found = shutil.which(str(expanded(path)))
    if found is None:
        raise UsageError(
            f"{visible(path)} is no program" if path else "no interpreter is named",
            "the path of a Python interpreter, 3.8 or later",
            "ecotui doctor --python path/to/environment/bin/python",
        )
    return os.path.abspath(found)


def preflight(
    reference: str, settings: Sequence[str], runs_dir: str | None, *, as_json: bool
) -> int:
    """Check what a config asks for; exit code 0, 5 (environment) or 3 (data or model).

    What was found stays in a folder of its own under `preflight` in the runs directory.

    Raises:
        UsageError: No such config, or one that is not valid.
    """
    loaded = load_config(reference, settings)
    folder = choose_runs_dir(runs_dir)
    is_new = not folder.exists()
    made = storage.create_preflight(loaded, folder)
    try:
        again = [part for setting in settings for part in ("--set", setting)]
        command = shlex.join(["ecotui", "--headless", reference, *again])
        sound = f"ready to train: {visible(command)}"
        style = _told_at_the_end(as_json=as_json)
        apply = shlex.join(["ecotui", "config", "apply", os.fspath(made.path), reference])
        return _follow(made, style, lambda state: preflight_lines(state, sound, apply))
    finally:
        if made.path.exists() and not made.preflight.is_file():
            storage.remove(made)  # It came to an end before anything was looked at.
        _forget_old(folder)
        if is_new:
            with contextlib.suppress(OSError):  # A run was begun there meanwhile.
                folder.rmdir()


def _forget_old(runs_dir: Path) -> None:
    """Keep the number of preflights bounded; that an old one cannot be removed is only told."""
    try:
        storage.keep_newest_preflights(runs_dir)
    except EcoError as error:
        for line in error.lines():
            click.echo(visible(line), err=True)


def _follow(
    made: RunDir,
    style: Style,
    closing: Callable[[RunState], list[str]],
    narrate: Narrate = remarks,
) -> int:
    engine = session.launch(made, owned=True)
    try:
        return headless.follow(
            engine,
            style=style,
            owner=True,
            closing=lambda state, run: closing(state),
            narrate=narrate,
        )
    finally:
        engine.wait_until_gone()

"""What the command line's `doctor` and `preflight` do: examine, and train nothing."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ecotui import headless, session, storage
from ecotui.config_file import load_config
from ecotui.jobs import DiagnoseJob, PreflightJob
from ecotui.paths import RunDir, choose_runs_dir
from ecotui.state import RunState
from ecotui.summary import verdict_lines
from ecotui.text import visible


def doctor(runs_dir: str | None, *, as_json: bool) -> int:
    """Examine the environment and print a line a check; exit code 0, or 5 if one failed."""
    job = DiagnoseJob(runs_path=str(choose_runs_dir(runs_dir)))
    # Not among the runs: that they cannot be written to is a finding, no obstacle.
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        made = storage.create_job(job, Path(folder))
        return _follow(made, "the environment is sound", as_json=as_json)


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
        return _follow(made, f"ready to train: {visible(command)}", as_json=as_json)
    finally:
        if made.path.exists():
            storage.remove(made)
        if is_new:
            with contextlib.suppress(OSError):  # A run was begun there meanwhile.
                folder.rmdir()


def _follow(made: RunDir, sound: str, *, as_json: bool) -> int:
    def closing(state: RunState, run: RunDir) -> list[str]:
        del run
        return verdict_lines(state, sound)

    engine = session.launch(made, owned=True)
    style = headless.choose_style(json=as_json, quiet=False)
    try:
        return headless.follow(engine, style=style, owner=True, closing=closing)
    finally:
        engine.wait_until_gone()

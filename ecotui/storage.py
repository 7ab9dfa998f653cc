"""Run directories come and go: made whole or not at all, removed whole or not at all.

Knows which files a directory starts with; what runs in it is the session's
business.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ecotui import lock
from ecotui.durable import sync_folder, write_whole
from ecotui.errors import EcoError, UsageError
from ecotui.paths import (
    JOBS_FOLDER,
    PREFLIGHTS_FOLDER,
    RunDir,
    list_runs,
    new_run_id,
    shipped_configs,
)
from ecotui.text import visible

KEPT_PREFLIGHTS = 20
"""Preflights without a run that stay in a runs directory; each takes about half a megabyte."""

if TYPE_CHECKING:  # Whoever only watches a run makes no directory, and needs no configuration.
    from ecotui.config import RunConfig
    from ecotui.config_file import LoadedConfig
    from ecotui.jobs import Job

_STATE_PREFIX = "step-"
"""How the names of checkpoints begin that a run can go on from."""
_DROPPING_PREFIX = ".del-"
"""As the engine names what it is removing: it clears away what a removal cut short left."""


def create_run(loaded: LoadedConfig, runs_dir: Path) -> RunDir:
    """Make the directory of a new training run, with its request and its job.

    Raises:
        UsageError: The runs directory cannot be written; nothing is left behind.
    """
    from ecotui.config_file import to_toml
    from ecotui.jobs import TrainJob

    files = {"config.toml": to_toml(loaded.config), "job.json": _job_text(TrainJob())}
    return _create(runs_dir, new_run_id(loaded.name), files)


def create_job(job: Job, runs_dir: Path, config: RunConfig | None = None) -> RunDir:
    """Make the directory of a short job, under `.jobs` in a runs directory.

    Args:
        job: What is to be done.
        runs_dir: Where runs are kept.
        config: What the job is about, where it is a configuration.

    Raises:
        UsageError: The runs directory cannot be written; nothing is left behind.
    """
    files = {"job.json": _job_text(job)}
    if config is not None:
        from ecotui.config_file import to_toml

        files["config.toml"] = to_toml(config)
    return _create(runs_dir / JOBS_FOLDER, new_run_id(job.kind), files)


def create_preflight(loaded: LoadedConfig, runs_dir: Path) -> RunDir:
    """Make the directory of a preflight without a run, under `preflight` in a runs directory.

    Raises:
        UsageError: The runs directory cannot be written; nothing is left behind.
    """
    from ecotui.config_file import to_toml
    from ecotui.jobs import PreflightJob

    files = {"config.toml": to_toml(loaded.config), "job.json": _job_text(PreflightJob())}
    return _create(runs_dir / PREFLIGHTS_FOLDER, new_run_id(loaded.name), files)


def keep_newest_preflights(runs_dir: Path, count: int = KEPT_PREFLIGHTS) -> None:
    """Remove all preflights of a runs directory but the newest ones and those under way.

    Args:
        runs_dir: Where runs are kept.
        count: How many stay.

    Raises:
        EcoError: One cannot be removed.
    """
    for old in list_runs(runs_dir / PREFLIGHTS_FOLDER)[count:]:
        if old.job.is_file() and not old.path.is_symlink() and not lock.is_held(old.lock):
            remove(old)


def write_config(path: Path, text: str) -> None:
    """Write a config whole, or leave what is there as it is.

    Raises:
        UsageError: It is one that is shipped, or the place cannot be written.
    """
    if path in shipped_configs().values():
        raise UsageError(
            f"{visible(path)} belongs to ecotui",
            "a file of your own",
            "write a copy under another name",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{visible(path)} cannot be written: {visible(why)}",
            "a path that this user may write",
            "choose another one",
        ) from None


def check_deletable(run: RunDir) -> None:
    """Refuse what must not be deleted.

    Raises:
        UsageError: The run is alive, or the directory is no run.
    """
    if run.path.is_symlink() or not run.job.is_file():
        raise UsageError(
            f"{visible(run.path)} is not a run directory",
            "a directory that ecotui made, with a job.json in it",
            "see the runs there are: ecotui runs",
        )
    if lock.is_held(run.lock):
        holder = lock.read_holder(run.lock)
        who = f" (pid {holder.pid} on {visible(holder.host)})" if holder else ""
        raise UsageError(
            f"run {run.run_id} is still running{who}",
            "a run that has ended",
            f"stop it first: ecotui stop {run.run_id}",
        )


def delete_run(run: RunDir) -> None:
    """Remove a run directory and all in it; links in it are removed, not followed.

    Raises:
        UsageError: The run is alive, or the directory is no run.
        EcoError: The directory cannot be removed.
    """
    check_deletable(run)
    remove(run)


def delete_checkpoint(run: RunDir, path: str) -> None:
    """Remove one checkpoint of a run that has ended, first from sight.

    Args:
        run: Whose it is.
        path: As the events name it, relative to the run directory.

    Raises:
        UsageError: The run is alive, or there is no such checkpoint.
        EcoError: It cannot be removed.
    """
    check_deletable(run)
    folder, _, name = path.partition("/")
    place = run.checkpoints / name
    is_plain = name.startswith(_STATE_PREFIX) and "/" not in name
    if not (folder == run.checkpoints.name and is_plain) or place.is_symlink():
        raise UsageError(
            f"{visible(path)} is no checkpoint that can be removed",
            f"a folder {run.checkpoints.name}/{_STATE_PREFIX}... of this run",
            "the best model stays as long as its run: ecotui delete RUN removes all of it",
        )
    hidden = place.with_name(f"{_DROPPING_PREFIX}{name}-{secrets.token_hex(4)}")
    try:
        place.rename(hidden)
        sync_folder(run.checkpoints)
        shutil.rmtree(hidden)
    except OSError as error:
        raise EcoError(
            f"{visible(place)} cannot be removed: {visible(error.strerror)}",
            "a folder that is there and that this user may remove",
            "check its owner and permissions",
        ) from None


def _create(folder: Path, run_id: str, files: dict[str, str]) -> RunDir:
    run = RunDir(folder / run_id)
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    made = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.path.mkdir()
        made = True
        for name, content in files.items():
            write_whole(run.path / name, content.encode())
        for made_folder in (folder, *(path.parent for path in absent)):
            sync_folder(made_folder)
    except OSError as error:
        if made:
            shutil.rmtree(run.path, ignore_errors=True)
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise UsageError(
            f"the runs directory {visible(folder)} cannot be written: {visible(error.strerror)}",
            "a folder that this user may write to, on a disk with room",
            "choose another one: --runs-dir FOLDER, or set ECOTUI_RUNS_DIR",
        ) from None
    return run


def remove(run: RunDir) -> None:
    """Remove a run directory, first from sight, and the folder of jobs with its last one.

    Raises:
        EcoError: It cannot be removed.
    """
    # Under a hidden name first: a removal cut short leaves nothing that looks like a run.
    hidden = run.path.with_name(f".deleted-{run.run_id}-{secrets.token_hex(4)}")
    try:
        run.path.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise EcoError(
            f"{visible(run.path)} cannot be removed: {visible(error)}",
            "a directory that this user may remove",
            "check its owner and permissions",
        ) from None
    if run.path.parent.name in (JOBS_FOLDER, PREFLIGHTS_FOLDER):
        with contextlib.suppress(OSError):  # Other jobs are still in it.
            run.path.parent.rmdir()


def has_content(run: RunDir) -> bool:
    """Say whether anything in the directory is worth keeping, or whether it is no run at all."""
    folders = (run.checkpoints, run.exports, run.evaluations)
    return not run.job.is_file() or any(
        folder.is_dir() and any(folder.iterdir()) for folder in folders
    )


def _job_text(job: Job) -> str:
    return job.model_dump_json() + "\n"

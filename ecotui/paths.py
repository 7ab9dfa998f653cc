"""Where things lie: the files of a run, the runs, the shipped configs, the user's own.

Knows every file name of a run directory, and nothing of what is in the files.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ecotui.errors import UsageError
from ecotui.text import listed, nearest, visible

RUN_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a run may be called: safe in every shell, file system and terminal."""

RUNS_DIR_VARIABLE = "ECOTUI_RUNS_DIR"
JOBS_FOLDER = ".jobs"
"""Holds the directories of short jobs (export, describe) inside a runs directory."""
PREFLIGHTS_FOLDER = "preflight"
"""Holds the directories of preflights without a run inside a runs directory."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one run, by name."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's name, which is its directory's."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The request, as the person made it."""
        return self.path / "config.toml"

    @property
    def resolved(self) -> Path:
        """The same with everything that `auto` chose; running it repeats the run."""
        return self.path / "resolved.toml"

    @property
    def job(self) -> Path:
        """What the engine is to do here (see `ecotui.jobs`)."""
        return self.path / "job.json"

    @property
    def events(self) -> Path:
        """Every fact the engine stated, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        """Every request made of the engine, one JSON object a line."""
        return self.path / "commands.jsonl"

    @property
    def log(self) -> Path:
        """The engine's raw output: tracebacks and what libraries print."""
        return self.path / "engine.log"

    @property
    def lock(self) -> Path:
        """Held by the living engine; JSON with pid, host and start time."""
        return self.path / "engine.lock"

    @property
    def ballast(self) -> Path:
        """A little room, given up when the disk is full; gone when the run has ended."""
        return self.path / ".ballast"

    @property
    def environment(self) -> Path:
        """Versions and hardware that the engine found."""
        return self.path / "environment.json"

    @property
    def plan(self) -> Path:
        """Settings that would suit the run better, to be laid over its config."""
        return self.path / "plan.toml"

    @property
    def preflight(self) -> Path:
        """Every verdict of layers 2 and 3 with its figures, and what was left out."""
        return self.path / "preflight.json"

    @property
    def previews(self) -> Path:
        """Folder of small pictures of photos and of what the transforms make of them."""
        return self.path / "previews"

    @property
    def split(self) -> Path:
        """CSV: path, label, split of every sample."""
        return self.path / "split.csv"

    @property
    def metrics(self) -> Path:
        """CSV: a row an epoch."""
        return self.path / "metrics.csv"

    @property
    def quarantine(self) -> Path:
        """Samples set aside and why, one JSON object a line."""
        return self.path / "quarantine.jsonl"

    @property
    def audit(self) -> Path:
        """All findings of the data audit."""
        return self.path / "audit.json"

    @property
    def incidents(self) -> Path:
        """Folder of faults that were looked into, a JSON file each."""
        return self.path / "incidents"

    @property
    def rollbacks(self) -> Path:
        """How often the run has gone back, and why; written before it does."""
        return self.path / "rollbacks.json"

    @property
    def stop_report(self) -> Path:
        """Why a guard has stopped the run, and all that was tried; for a person."""
        return self.path / "stop-report.md"

    @property
    def checkpoints(self) -> Path:
        """Folder of committed checkpoints."""
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        """Folder of per-class figures and confusion matrices, a JSON file an evaluation."""
        return self.path / "evaluations"

    @property
    def mistakes(self) -> Path:
        """The most confident mistakes of the best model, with small pictures in `previews`."""
        return self.path / "mistakes.json"

    @property
    def exports(self) -> Path:
        """Folder of exported weights."""
        return self.path / "exports"


def choose_runs_dir(flag: str | None) -> Path:
    """Return the runs directory: the flag, else ECOTUI_RUNS_DIR, else `./runs`."""
    chosen = flag or os.environ.get(RUNS_DIR_VARIABLE) or "runs"
    return Path(os.path.abspath(expanded(chosen)))


def expanded(path: str) -> Path:
    """Return a path with `~` and `~user` resolved; an unknown user's stays as written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: Path) -> bool:
    """Say whether a path is a file; no for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def new_run_id(name: str, *, now: float | None = None) -> str:
    """Return a name for a new run that sorts by time: ``digits-20261123-141502-3f9a``.

    Args:
        name: What the run is called by; anything outside letters, digits and ``-`` is dropped.
        now: Unix seconds; the present when None.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return f"{_stem(name)}-{stamp}-{os.urandom(2).hex()}"


def runs_called(name: str, runs_dir: Path) -> list[RunDir]:
    """Return the runs that `new_run_id` named by a name, newest first.

    Raises:
        UsageError: The directory cannot be read.
    """
    pattern = re.compile(re.escape(_stem(name)) + r"-\d{8}-\d{6}-[0-9a-f]{4}")
    return [run for run in list_runs(runs_dir) if pattern.fullmatch(run.run_id)]


def _stem(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:32].rstrip("-") or "run"


def list_runs(runs_dir: Path) -> list[RunDir]:
    """Return the runs of a directory, newest first by the time their config was written.

    Raises:
        UsageError: The directory cannot be read.
    """
    try:
        entries = list(runs_dir.iterdir())
    except (FileNotFoundError, ValueError):
        return []
    except OSError as error:
        raise UsageError(
            f"the runs directory {visible(runs_dir)} cannot be read: {visible(error.strerror)}",
            "a folder that holds runs",
            f"name another with --runs-dir or {RUNS_DIR_VARIABLE}, or check its permissions",
        ) from None
    found: list[tuple[float, RunDir]] = []
    for entry in entries:
        run = RunDir(entry)
        if not RUN_ID_PATTERN.fullmatch(entry.name):
            continue
        try:
            found.append((run.config.stat().st_mtime, run))
        except OSError:
            continue
    found.sort(key=lambda pair: (pair[0], pair[1].run_id), reverse=True)
    return [run for _, run in found]


def find_run(reference: str, runs_dir: Path) -> RunDir:
    """Return the run that a person means: a path, an id, the start of one, or `latest`.

    Raises:
        UsageError: No run, or more than one, fits.
    """
    as_path = Path(os.path.abspath(expanded(reference)))
    is_run = bool(reference) and is_file(RunDir(as_path).config)
    if is_run and Path(reference).name != reference:
        return RunDir(as_path)
    runs = list_runs(runs_dir)
    if reference == "latest" and runs:
        return runs[0]
    exact = [run for run in runs if run.run_id == reference]
    fitting = exact or [run for run in runs if reference and run.run_id.startswith(reference)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(
            f"{len(fitting)} runs start with '{visible(reference)}'",
            "the name of one run",
            f"choose one of: {listed(run.run_id for run in fitting)}",
        )
    if is_run:
        return RunDir(as_path)
    if not runs and reference == "latest":
        raise UsageError(
            f"there are no runs in {visible(runs_dir)}",
            "a runs directory in which something was trained",
            "train the demo: ecotui digits; or name another place with --runs-dir",
        )
    close = nearest(reference, (run.run_id for run in runs))
    raise UsageError(
        f"there is no run '{visible(reference)}' in {visible(runs_dir)}",
        "a run's name, the start of one, its path, or 'latest'",
        f"did you mean {listed(close)}?" if close else "see them all: ecotui runs",
    )


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configs by name, from a wheel or from the repository."""
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def user_config() -> Path:
    """Return the user's own config file, which every run starts from if it exists."""
    return platformdirs.user_config_path("ecotui") / "config.toml"


def user_cache() -> Path:
    """Return the folder for what can be made again, such as the demo's images."""
    return platformdirs.user_cache_path("ecotui")

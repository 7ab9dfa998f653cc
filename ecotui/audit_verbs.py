"""What the command line's `audit` does: look at every photo, and list what to leave out."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import ValidationError

from ecotui import headless, session, storage
from ecotui.audit_categories import CATEGORIES, GROUPS, members
from ecotui.config import RunConfig
from ecotui.config_faults import told
from ecotui.config_file import load_config, merge, parse_file, settings_layer
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.foresight_text import audit_lines
from ecotui.jobs import AuditJob
from ecotui.paths import (
    RunDir,
    choose_runs_dir,
    expanded,
    find_run,
    is_file,
    list_runs,
    shipped_configs,
)
from ecotui.printing import Style
from ecotui.state import RunState
from ecotui.summary import as_error, exit_code, verdict_lines
from ecotui.text import listed, nearest, visible

SOUND = "every photo was looked at; nothing in the data was changed"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an audit is asked for.

    Attributes:
        recheck: Read all files again.
        exclude: Print the photos of these categories, comma-separated, instead of the findings.
        labels: Also look for doubtful labels.
        run: A run whose best model is used for that; None for a short training.
        weights: Of the model that is used for that, a .safetensors file; None for the config's.
        output: Folder for audit.json and previews; must not exist. None for none.
    """

    recheck: bool = False
    exclude: str | None = None
    labels: bool = False
    run: str | None = None
    weights: str | None = None
    output: str | None = None


def audit(
    reference: str,
    settings: Sequence[str],
    runs_dir: str | None,
    asked: Asked,
    *,
    as_json: bool,
) -> int:
    """Audit photos; exit code 0, or 3 where a fifth is unreadable or a class is missing.

    Args:
        reference: A folder of photos, the path of a config, a shipped config's name, or a run:
            its data are audited, and its best model judges the labels.
        settings: `key=value`, on top of it.
        runs_dir: Where runs are kept; only to find the run that is asked for.
        asked: What is to be done.
        as_json: The events on stdout, as JSON lines.

    Raises:
        UsageError: No such data, config, run or category.
    """
    exclude, run = asked.exclude, asked.run
    wanted = _categories(exclude) if exclude is not None else frozenset()
    if asked.weights is not None:
        weights = os.path.abspath(expanded(asked.weights))
        settings = (*settings, f"model.weights={json.dumps(weights)}")
    audited = _run_meant(reference, choose_runs_dir(runs_dir))
    config = _config(reference, settings) if audited is None else _config_of(audited, settings)
    run_path: str | None = None
    if run is not None:
        run_path = str(find_run(run, choose_runs_dir(runs_dir)).path)
    elif audited is not None and asked.weights is None:
        run_path = str(audited.path)
    is_asked = asked.labels or run_path is not None or asked.weights is not None
    needs_labels = is_asked or "label_errors" in wanted
    job = AuditJob(recheck=asked.recheck, labels=needs_labels, run_path=run_path)
    target = _new_folder(asked.output) if asked.output is not None else None
    # Not among the runs: an audit is of the data, and leaves nothing but what is asked for.
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        made = storage.create_job(job, Path(folder), config)
        code = _list(made, wanted) if exclude is not None else _show(made, as_json=as_json)
        if target is not None and made.audit.is_file():
            _keep(made, target)
    return code


def _show(made: RunDir, *, as_json: bool) -> ExitCode:
    style = Style.JSON_QUIET if as_json else headless.choose_style(json=False, quiet=False)
    style = {Style.PLAIN: Style.QUIET, Style.BARS: Style.BARS_ALONE}.get(style, style)

    def closing(state: RunState, run: RunDir) -> list[str]:
        del run
        return [*audit_lines(state), *verdict_lines(state, SOUND)]

    return _with_engine(
        made,
        lambda engine: headless.follow(engine, style=style, owner=True, closing=closing),
    )


def _list(made: RunDir, wanted: frozenset[str]) -> ExitCode:
    """Print the photos to leave out, nothing else: the output is a list to be kept."""

    def wait(engine: session.Session) -> ExitCode:
        state = headless.watch(engine)
        if exit_code(state.ending) not in (ExitCode.DONE, ExitCode.PREFLIGHT):
            raise as_error(state)
        return ExitCode.DONE

    code = _with_engine(made, wait)
    lines = exclusion_lines(made.audit, wanted)
    for line in lines:
        click.echo(line)
    click.echo(f"{len(lines):,} photos to leave out", err=True)
    return code


def exclusion_lines(path: Path, wanted: frozenset[str]) -> list[str]:
    """Return the photos that findings of some categories would have left out, each once, sorted.

    Args:
        path: Of the file of all findings.
        wanted: Names of categories.

    Raises:
        EcoError: The file cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())["findings"]
    except (OSError, ValueError, KeyError) as error:
        raise EcoError(
            f"the findings of the audit cannot be read: {visible(error)}",
            "the file that the audit has just written",
            "look at the room on the disk, and try again",
        ) from None
    return sorted(
        {
            entry["path"]
            for finding in found
            if finding["category"] in wanted and finding["verdict"] != "pass"
            for entry in finding["entries"]
            if entry["left_out"]
        }
    )


def _with_engine(made: RunDir, act: Callable[[session.Session], ExitCode]) -> ExitCode:
    engine = session.launch(made, owned=True)
    try:
        return act(engine)
    finally:
        engine.wait_until_gone()


def _run_meant(reference: str, runs_dir: Path) -> RunDir | None:
    """Return the run that a person means; None where it is photos or a config that is meant.

    Raises:
        UsageError: Several runs begin so.
    """
    path = expanded(reference)
    if path.is_dir():
        run = RunDir(path.absolute())
        return run if run.job.is_file() and run.resolved.is_file() else None
    if is_file(path) or not reference or reference in shipped_configs():
        return None
    names = [run.run_id for run in list_runs(runs_dir)]
    is_run = bool(names) if reference == "latest" else any(n.startswith(reference) for n in names)
    return find_run(reference, runs_dir) if is_run else None


def _config_of(run: RunDir, settings: Sequence[str]) -> RunConfig:
    if not run.resolved.is_file():
        raise UsageError(
            f"run {visible(run.run_id)} has not begun to train: it has no resolved.toml",
            "a run that has finished at least one validation",
            "audit its data by their folder: ecotui audit DATA",
        )
    table = parse_file(run.resolved).model_dump(exclude_none=True)
    layer = settings_layer(settings)
    merge(table, layer.table)
    try:
        return RunConfig.model_validate(table)
    except ValidationError as error:
        raise told(error, [layer]) from None


def _config(reference: str, settings: Sequence[str]) -> RunConfig:
    folder, shipped = expanded(reference), shipped_configs()
    if not folder.is_dir():
        if is_file(folder) or reference in shipped:
            return load_config(reference, settings).config
        close = nearest(reference, shipped)
        raise UsageError(
            f"there is no folder, config or run '{visible(reference)}'",
            "a folder of photos, the path or name of a config, or a run",
            f"did you mean '{close[0]}'?" if close else "check the path, or see: ecotui runs",
        )
    layer = settings_layer(settings)
    layer.table.setdefault("data", {})["root"] = str(folder.absolute())
    try:
        return RunConfig.model_validate(layer.table)
    except ValidationError as error:
        raise told(error, [layer]) from None


def _categories(written: str) -> frozenset[str]:
    """Return the categories that a comma-separated list means.

    Raises:
        UsageError: One of its words is none.
    """
    known = [*GROUPS, *(each.name for each in CATEGORIES if each.can_exclude)]
    found: set[str] = set()
    for word in (part.strip() for part in written.split(",")):
        meant = members(word)
        if not meant:
            close = nearest(word, known)
            raise UsageError(
                f"--exclude {visible(word, limit=80) or chr(39) * 2}: no such kind of finding",
                f"of {listed(known, limit=40)}, separated by commas",
                f"did you mean {close[0]}?" if close else "ecotui audit DATA --exclude corrupt",
            )
        found.update(meant)
    return frozenset(found)


def _new_folder(written: str) -> Path:
    target = Path(expanded(written)).absolute()
    if target.exists():
        raise UsageError(
            f"{visible(target)} exists already",
            "a path where nothing is yet",
            "remove it, or choose another one with --output FOLDER",
        )
    return target


def _keep(made: RunDir, target: Path) -> None:
    try:
        target.mkdir(parents=True)
        shutil.copyfile(made.audit, target / made.audit.name)
        if made.previews.is_dir():
            shutil.copytree(made.previews, target / made.previews.name)
    except OSError as error:
        raise EcoError(
            f"{visible(target)} cannot be written: {visible(error.strerror or error)}",
            "a folder that this user may write to, on a disk with room",
            "choose another one with --output FOLDER",
        ) from None
    click.echo(f"written: {visible(target)}", err=True)

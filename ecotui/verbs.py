"""What the command line's verbs do with runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import click

from ecotui import headless, lock, resuming, scheduler, session, storage
from ecotui.commands import StopRun
from ecotui.config_file import load_config
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.events import CommandAnswered, RunStarted
from ecotui.jobs import ExportJob
from ecotui.narration import progress
from ecotui.paths import RunDir, choose_runs_dir, find_run, list_runs, runs_called, shipped_configs
from ecotui.printing import Style
from ecotui.runs_table import glance, row_of, size_of, table_lines
from ecotui.state import RunState, fold
from ecotui.summary import as_error, exit_code, summary_lines
from ecotui.text import bytes_size, duration, visible, visible_lines

WAIT_REPORT_SECONDS = 10.0
_MAX_LOG_BYTES = 4_194_304


def style_of(*, as_json: bool, quiet: bool) -> Style:
    """Return how to print."""
    return headless.choose_style(json=as_json, quiet=quiet)


def run(  # noqa: PLR0913
    config: str | None,
    settings: Sequence[str],
    runs_dir: str | None,
    *,
    style: Style,
    detach: bool,
    ends_at: float | None = None,
    requeue: bool = False,
    bell: bool = False,
) -> int:
    """Train a config in the foreground, or until it has begun.

    Args:
        config: Path or shipped name.
        settings: `key=value`, on top of it.
        runs_dir: Where runs are kept; None for the usual place.
        style: How to print.
        detach: Return once it has begun.
        ends_at: When the time given to it is over, unix seconds.
        requeue: Have SLURM run this job again where it is cut off.
        bell: Ring at what is critical, as `notify.bell` asks for it too.

    Raises:
        UsageError: No such config, or one that is not valid.
        EcoError: The scheduler refuses.
    """
    if config is None:
        raise UsageError(
            "no config was given",
            f"the path of a TOML file, or a shipped config: {', '.join(shipped_configs())}",
            "ecotui --headless digits trains the demo; for your own photos: "
            "ecotui config init --data FOLDER",
        )
    job = scheduler.job_id() if requeue else None
    loaded = load_config(config, settings)
    made = storage.create_run(loaded, choose_runs_dir(runs_dir))
    engine = session.launch(made, owned=not detach, ends_at=ends_at)
    if detach:
        return _detached(engine)
    try:
        bell = bell or loaded.config.notify.bell
        code = headless.follow(engine, style=style, owner=True, bell=bell)
        return _requeued(code, engine, job)
    finally:
        if engine.ended:
            # The next command may want the device, or delete the run.
            engine.wait_until_gone()
        engine.discard()


def attach(reference: str, runs_dir: str | None, *, style: Style, bell: bool = False) -> int:
    """Watch a run from its first event, alive or not.

    Raises:
        UsageError: No such run.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    return headless.follow(session.attach(found), style=style, owner=False, bell=bell)


def resume(
    going: resuming.Plan,
    *,
    style: Style,
    ends_at: float | None = None,
    requeue: bool = False,
) -> int:
    """Go on with a run from its newest checkpoint, in the foreground.

    Raises:
        UsageError: It is to be requeued, and this is no job of a scheduler.
        EcoError: The scheduler refuses.
    """
    job = scheduler.job_id() if requeue else None
    for sentence in going.advice:
        click.echo(sentence, err=True)
    bell = resuming.config_of(going.run).notify.bell
    engine = session.launch(going.run, owned=True, settings=going.settings, ends_at=ends_at)
    try:
        code = headless.follow(engine, style=style, owner=True, bell=bell)
        return _requeued(code, engine, job)
    finally:
        if engine.ended:
            engine.wait_until_gone()


def resume_if_exists(
    reference: str,
    settings: Sequence[str],
    runs_dir: str | None,
    *,
    style: Style,
    ends_at: float | None = None,
    requeue: bool = False,
) -> int:
    """Go on with the newest run of a config, or begin one; done at once where it is finished.

    Raises:
        UsageError: No such config, the run is alive, or a setting cannot be changed.
    """
    loaded = load_config(reference, settings)
    found = runs_called(loaded.name, choose_runs_dir(runs_dir))
    if not found:
        return run(
            reference,
            settings,
            runs_dir,
            style=style,
            detach=False,
            ends_at=ends_at,
            requeue=requeue,
        )
    newest = found[0]
    wanting = resuming.wanting(newest, settings)
    if wanting is not None:
        click.echo(
            f"{newest.run_id} is finished: nothing to do; "
            f"to train it further: ecotui resume {newest.run_id} --set {wanting}",
            err=True,
        )
        return ExitCode.DONE
    going = resuming.plan_for(newest, settings)
    return resume(going, style=style, ends_at=ends_at, requeue=requeue)


def runs(runs_dir: str | None, *, as_json: bool) -> int:
    """List the runs, newest first."""
    folder = choose_runs_dir(runs_dir)
    rows = [row_of(found) for found in list_runs(folder)]
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2))
    elif rows:
        for line in table_lines(rows):
            click.echo(line)
    else:
        click.echo(f"no runs in {visible(folder)}; to begin: ecotui --headless digits")
    return ExitCode.DONE


def stop(reference: str, runs_dir: str | None, *, wait: bool, after_epoch: bool = False) -> int:
    """Ask a run to save a checkpoint and stop, and wait for it.

    Raises:
        UsageError: No such run.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    if not lock.is_held(found.lock):
        click.echo(f"{found.run_id} is not running ({row_of(found).state})")
        return ExitCode.DONE
    engine = session.attach(found)
    request = StopRun(reason="ecotui stop", after_epoch=after_epoch)
    engine.request(request)
    when = " once its epoch is done" if after_epoch else ""
    click.echo(f"{found.run_id}: asked to save a checkpoint and stop{when}")
    return _wait_for_end(engine, request.id) if wait else ExitCode.DONE


def delete(reference: str, runs_dir: str | None, *, yes: bool) -> int:
    """Remove a run, after asking.

    Raises:
        UsageError: No such run, it is alive, or nobody can be asked.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    storage.check_deletable(found)
    size = bytes_size(size_of(found))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"deleting {found.run_id} needs a yes, and there is no terminal to ask on",
                "the flag --yes",
                f"ecotui delete {found.run_id} --yes",
            )
        if not click.confirm(f"Delete {visible(found.path)} ({size}) for good?"):
            click.echo("nothing was deleted")
            return ExitCode.DONE
    storage.delete_run(found)
    click.echo(f"deleted {found.run_id} ({size})")
    return ExitCode.DONE


def logs(reference: str, runs_dir: str | None, *, lines: int, keep_on: bool) -> int:
    """Print the end of a run's raw log, made harmless.

    Raises:
        UsageError: No such run.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    size = found.log.stat().st_size if found.log.is_file() else 0
    raw, offset = _whole_lines(found.log, max(0, size - _MAX_LOG_BYTES), is_last=not keep_on)
    shown = visible_lines(raw.decode("utf-8", "replace"))
    _print_lines(shown[len(shown) - min(lines, len(shown)) :])
    is_alive = keep_on
    while is_alive:
        is_alive = lock.is_held(found.lock)
        raw, offset = _whole_lines(found.log, offset, is_last=not is_alive)
        _print_lines(visible_lines(raw.decode("utf-8", "replace")))
        time.sleep(0.2 if is_alive else 0.0)
    return ExitCode.DONE


def export(reference: str, runs_dir: str | None, *, form: str, output: str | None) -> int:
    """Write the best weights of a run in another form, and print where.

    Raises:
        UsageError: No such run, no best checkpoint yet, or the output exists.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    target = _export_target(found, form, output)
    job = ExportJob(
        run_path=str(found.path), format=cast(Literal["pth", "timm"], form), output=str(target)
    )
    made = storage.create_job(job, found.path.parent)
    engine = session.launch(made, owned=True)
    try:
        code = headless.follow(engine, style=Style.QUIET, owner=True)
    finally:
        engine.discard()
    if code == ExitCode.DONE and engine.wait_until_gone():
        storage.remove(made)
    return code


def _requeued(code: ExitCode, engine: session.Session, job: str | None) -> ExitCode:
    """Have a job queued again whose run was cut off with a checkpoint."""
    if job is not None and scheduler.is_worth_requeuing(engine.ending):
        engine.wait_until_gone()
        click.echo(scheduler.requeue(job), err=True)
    return code


def _export_target(found: RunDir, form: str, output: str | None) -> Path:
    best = glance(found).best
    if best is None:
        raise UsageError(
            f"{found.run_id} has no best checkpoint yet",
            "a run that has finished at least one epoch",
            "choose another run: ecotui runs",
        )
    name = Path(best.path).name + (".pth" if form == "pth" else "")
    target = Path(output).expanduser().absolute() if output else found.exports / name
    if target.exists():
        raise UsageError(
            f"{visible(target)} exists already",
            "a path where nothing is yet",
            "remove it, or choose another one with --output PATH",
        )
    return target


def _detached(engine: session.Session) -> int:
    """Wait in silence until the run has begun, so that what is wrong shows at once."""
    state = headless.watch(engine, until=RunStarted)
    run_dir = engine.run
    if engine.ended and exit_code(state.ending) != ExitCode.DONE:
        engine.discard()
        raise as_error(state)
    click.echo(f"runs directory: {visible(run_dir.path.parent)}")
    click.echo(f"run: {run_dir.run_id} in {visible(run_dir.path)}")
    click.echo(f"to watch it: ecotui attach {run_dir.run_id} --headless")
    click.echo(f"to stop it: ecotui stop {run_dir.run_id}")
    return ExitCode.DONE


def _wait_for_end(engine: session.Session, command_id: str) -> int:
    state, asked_at, reported_at = RunState(), time.monotonic(), time.monotonic()
    while not engine.ended:
        found = engine.read()
        for _, event in found:
            state = fold(state, event)
            if isinstance(event, CommandAnswered) and event.command_id == command_id:
                _check_accepted(event)
        now = time.monotonic()
        if now - reported_at >= WAIT_REPORT_SECONDS:
            click.echo(f"still waiting ({duration(now - asked_at)}): {progress(state)}")
            reported_at = now
        if not found:
            time.sleep(headless.READ_INTERVAL_SECONDS)
    for line in summary_lines(state, engine.run):
        click.echo(line)
    code = exit_code(state.ending)
    return ExitCode.DONE if code == ExitCode.RESUMABLE else code


def _check_accepted(answer: CommandAnswered) -> None:
    if not answer.accepted:
        raise EcoError(
            f"the run refused to stop: {visible(answer.why)}",
            "a run that is still going",
            "see where it stands: ecotui runs",
        )


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


def _whole_lines(path: Path, offset: int, *, is_last: bool) -> tuple[bytes, int]:
    """Return the whole lines from an offset on, at last also a torn one, and the next offset."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read()
    except FileNotFoundError:
        return b"", offset
    whole = raw if is_last else raw[: raw.rfind(b"\n") + 1]
    return whole, offset + len(whole)

"""What the command line's verbs do with the terminal app."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecotui.app import EcoApp
from ecotui.app_settings import Flags, app_settings
from ecotui.errors import UsageError
from ecotui.paths import RunDir, choose_runs_dir, expanded, find_run, is_file
from ecotui.terminal import check_terminal
from ecotui.text import visible

if TYPE_CHECKING:  # The first frame is not to wait for what it does not need.
    from ecotui.openings import Opening
    from ecotui.session_factory import SessionFactory


def run(
    config: str | None,
    settings: Sequence[str],
    runs_dir: str | None,
    *,
    ends_at: float | None = None,
    flags: Flags | None = None,
) -> int:
    """Train a config before one's eyes, or show the configs and runs there are.

    Args:
        config: Path or shipped name; None for the home.
        settings: `key=value`, on top of it.
        runs_dir: Where runs are kept; None for the usual place.
        ends_at: When the time given to it is over, unix seconds.
        flags: How the app is to look and listen.

    Raises:
        UsageError: No terminal, no such config, or one that is not valid; or `--readonly`
            with a config.
    """
    check_terminal()
    if config is not None and flags is not None and flags.is_readonly:
        raise UsageError(
            f"--readonly takes no request, and '{visible(config, limit=80)}' would start a run",
            "a run to watch, or none to look at them all",
            "watch a run: ecotui attach RUN --readonly; or leave --readonly out",
        )
    if config is None:
        return _open(None, runs_dir, None if ends_at is None else _engine(ends_at=ends_at), flags)
    from ecotui.config_file import load_config

    return _open(load_config(config, settings), runs_dir, _engine(ends_at=ends_at), flags)


def attach(reference: str, runs_dir: str | None, *, flags: Flags | None = None) -> int:
    """Show a run, alive or not.

    Raises:
        UsageError: No terminal, or no such run.
    """
    check_terminal()
    return _open(find_run(reference, choose_runs_dir(runs_dir)), runs_dir, flags=flags)


def replay(reference: str, runs_dir: str | None, *, flags: Flags | None = None) -> int:
    """Play a run's log again, before one's eyes.

    Args:
        reference: A run's name, path, or `latest`; or the path of a log.
        runs_dir: Where runs are kept; None for the usual place.
        flags: How the app is to look and listen.

    Raises:
        UsageError: No terminal, or no such run.
    """
    from ecotui.openings import Replaying

    check_terminal()
    as_path = expanded(reference)
    is_log = as_path.name == "events.jsonl" and is_file(as_path)
    run = RunDir(as_path.absolute().parent) if is_log else None
    found = run or find_run(reference, choose_runs_dir(runs_dir))
    return _open(Replaying(found), runs_dir, flags=flags)


def resume(
    reference: str,
    runs_dir: str | None,
    settings: Sequence[str] = (),
    *,
    smaller: bool = False,
    ends_at: float | None = None,
    flags: Flags | None = None,
) -> int:
    """Go on with a run from its newest checkpoint, before one's eyes.

    Args:
        reference: A run's name, path, or `latest`.
        runs_dir: Where runs are kept; None for the usual place.
        settings: To change, `key=value`.
        smaller: Take half the micro-batch.
        ends_at: When the time given to it is over, unix seconds.
        flags: How the app is to look and listen.

    Raises:
        UsageError: No terminal, no such run, it is alive, it has nothing left to do, or
            a setting cannot be changed.
    """
    from ecotui import resuming
    from ecotui.openings import Resumption

    check_terminal()
    going = resuming.plan(reference, runs_dir, settings, smaller=smaller)
    engine = _engine(going.settings, ends_at=ends_at)
    return _open(Resumption(going.run), runs_dir, engine, flags)


def _engine(settings: Sequence[str] = (), *, ends_at: float | None) -> SessionFactory:
    from ecotui.session_factory import engine_with

    return engine_with(settings, ends_at=ends_at)


def _open(
    opening: Opening | None,
    runs_dir: str | None,
    sessions: SessionFactory | None = None,
    flags: Flags | None = None,
) -> int:
    settings = app_settings(Flags() if flags is None else flags)
    app = EcoApp(opening, choose_runs_dir(runs_dir), sessions=sessions, settings=settings)
    code = app.run()
    if app.failure is not None:
        raise app.failure
    for line in farewell(app, runs_dir):
        sys.stdout.write(f"{line}\n")
    _tidy(app)
    return app.return_code or 0 if code is None else code


def farewell(app: EcoApp, runs_dir: str | None) -> list[str]:
    """Return where the run stands as the app is left, and how to come back."""
    session = app.session
    if session is None or app.desk.replay is not None:
        return []
    from ecotui.narration import progress
    from ecotui.summary import summary_lines

    if session.ended:
        return summary_lines(app.run_state, session.run)
    run_id = visible(session.run.run_id)
    where = "" if runs_dir is None else f" --runs-dir {visible(runs_dir)}"
    return [
        f"{run_id} goes on: {visible(progress(app.run_state))}",
        f"to come back: ecotui attach {run_id}{where}",
        f"to stop it: ecotui stop {run_id}{where}",
    ]


def _tidy(app: EcoApp) -> None:
    session = app.session
    if session is not None and session.ended:
        # The next command may want the device, or delete the run.
        session.wait_until_gone()
        session.discard()

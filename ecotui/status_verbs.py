"""What the command line's `status` does."""

from __future__ import annotations

import click

from ecotui.errors import EcoError, ExitCode
from ecotui.paths import choose_runs_dir, find_run
from ecotui.run_reading import read_state
from ecotui.status_report import report_of
from ecotui.status_text import status_lines
from ecotui.text import visible


def status(reference: str, runs_dir: str | None, *, as_json: bool) -> int:
    """Print how a run stands; the exit code tells that it could be read, not how it fares.

    Raises:
        UsageError: No such run.
        EcoError: Its log cannot be read.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    try:
        state = read_state(found)
    except OSError as error:
        raise EcoError(
            f"{visible(found.events)} cannot be read: {visible(error.strerror)}",
            "a run that this user may read",
            "check the owner and the permissions of the run's directory",
        ) from None
    report = report_of(state, found)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return ExitCode.DONE
    for line in status_lines(report, state):
        click.echo(visible(line))
    return ExitCode.DONE

"""The command that plays a log again; every heavy import is deferred."""

from __future__ import annotations

import click

from ecotui.cli_options import CONTEXT, app_flags, app_options, run_or_latest, runs_dir_option
from ecotui.launching import launching


@click.command("replay", context_settings=CONTEXT)
@run_or_latest
@runs_dir_option
@app_options
def replay(run: str, runs_dir: str | None) -> int:
    """Play the log of RUN again, faster or slower, through the screens."""
    with launching():
        from ecotui import app_verbs

        return app_verbs.replay(run, runs_dir, flags=app_flags())

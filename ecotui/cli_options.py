"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ecotui.app_settings import Flags

CONTEXT = {"help_option_names": ["-h", "--help"]}
runs_dir_option = click.option(
    "--runs-dir", metavar="FOLDER", help="Where runs are kept. [ECOTUI_RUNS_DIR, or ./runs]"
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as train.epochs=3; repeatable.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="The events on stdout, as JSON lines."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only the summary at the end.")
headless_option = click.option("--headless", is_flag=True, help="Print lines instead of a screen.")
time_limit_option = click.option(
    "--time-limit",
    metavar="TIME",
    help="Save and stop in time: seconds, MM:SS, HH:MM:SS or D-HH:MM:SS. [SLURM's own]",
)
requeue_option = click.option(
    "--requeue", is_flag=True, help="In a SLURM job: queue it again where it is cut off."
)
bell_option = click.option(
    "--bell", is_flag=True, help="Ring at critical alerts, where lines go to a terminal."
)
run_or_latest = click.argument("run", default="latest")

_Command = TypeVar("_Command", bound=Callable[..., Any])
_META = "ecotui.app_flags"
_THEMES = ("dark", "light", "contrast", "mono", "ansi-dark", "ansi-light")


def _keep(ctx: click.Context, option: click.Parameter, value: object) -> object:
    if option.name is not None and value is not None:
        ctx.meta.setdefault(_META, {})[option.name] = value
    return value


def app_options(command: _Command) -> _Command:
    """Add the options of the terminal app, which `app_flags` returns."""
    for option in (
        click.option(
            "--readonly",
            "is_readonly",
            is_flag=True,
            expose_value=False,
            callback=_keep,
            help="Watch only: the app asks nothing of the run.",
        ),
        click.option(
            "--slow",
            "is_slow",
            is_flag=True,
            expose_value=False,
            callback=_keep,
            help="Draw once a second, and let nothing move.",
        ),
        click.option(
            "--refresh",
            "frames_per_second",
            type=click.FloatRange(0.1, 30.0),
            metavar="HZ",
            expose_value=False,
            callback=_keep,
            help="Draw at most so often a second. [10]",
        ),
        click.option(
            "--ascii",
            "is_ascii",
            is_flag=True,
            expose_value=False,
            callback=_keep,
            help="Draw with ASCII alone.",
        ),
        click.option(
            "--theme",
            type=click.Choice(_THEMES),
            expose_value=False,
            callback=_keep,
            help="For this once. [the one chosen last]",
        ),
    ):
        command = option(command)
    return command


def app_flags() -> Flags:
    """Return what the command line under way says about the app."""
    from ecotui.app_settings import Flags

    return Flags(**click.get_current_context().meta.get(_META, {}))

"""Options and arguments that several commands share."""

from __future__ import annotations

import click

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

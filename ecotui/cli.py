"""argv to one verb; every heavy import is deferred to the verb that needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ecotui import __version__
from ecotui.cli_audit import audit
from ecotui.cli_config import config
from ecotui.cli_options import (
    CONTEXT,
    app_flags,
    app_options,
    bell_option,
    headless_option,
    json_option,
    quiet_option,
    requeue_option,
    run_or_latest,
    runs_dir_option,
    set_option,
    time_limit_option,
)
from ecotui.cli_replay import replay
from ecotui.cli_requests import COMMANDS
from ecotui.errors import ExitCode
from ecotui.launching import launching
from ecotui.outer_door import exit_code

EXIT_CODES = (
    (ExitCode.DONE, "done: all epochs, early stopping or the step limit"),
    (ExitCode.ERROR, "an error, or the engine was killed"),
    (ExitCode.USAGE, "wrong flags, configuration, model name, data layout or input size"),
    (ExitCode.PREFLIGHT, "preflight found an error in the data or the model"),
    (ExitCode.HEALTH, "stopped for the health of the run"),
    (ExitCode.ENVIRONMENT, "the environment is broken: device, weights or packages"),
    (ExitCode.OUT_OF_MEMORY, "out of memory after every fall-back"),
    (ExitCode.RESUMABLE, "stopped early on request, with a checkpoint saved"),
    (ExitCode.INTERRUPTED, "interrupted twice, not saved"),
    (ExitCode.TERMINATED, "terminated twice, not saved"),
)
_RUN = "run"
"""The hidden command that a command line without a verb means."""


class _VerbOrConfig(click.Group):
    """A group in which what is no verb is the CONFIG of a run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ("-h", "--help", "--version"):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # Such as `ecotui runs | head`: enough was read.
            _leave_quietly()
            return ExitCode.DONE
        return result

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS] CONFIG", "| VERB ..."]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        run = self.commands[_RUN]
        with formatter.section("Options"):
            options = [*run.get_params(ctx), *self.get_params(ctx)]
            records = [
                each.get_help_record(ctx) for each in options if each.param_type_name != "argument"
            ]
            formatter.write_dl(list(dict.fromkeys(record for record in records if record)))
        with formatter.section("Verbs"):
            shown = [(name, verb) for name, verb in self.commands.items() if not verb.hidden]
            formatter.write_dl([(name, verb.get_short_help_str(60)) for name, verb in shown])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in EXIT_CODES])


class _RunCommand(click.Command):
    """The run itself; its help is that of the whole program."""

    def get_help(self, ctx: click.Context) -> str:
        return ctx.parent.get_help() if ctx.parent else super().get_help(ctx)


@click.group(cls=_VerbOrConfig, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="ecotui")
def cli() -> None:
    """Train image classifiers in a terminal, and never lose the run.

    CONFIG is a TOML file, or the name of a shipped config such as digits.
    """


@cli.command(_RUN, cls=_RunCommand, hidden=True)
@click.argument("config", required=False)
@headless_option
@set_option
@runs_dir_option
@json_option
@quiet_option
@click.option("--detach", is_flag=True, help="Return once the run has begun; it goes on.")
@time_limit_option
@requeue_option
@bell_option
@app_options
def run_command(
    config: str | None,
    headless: bool,
    settings: Sequence[str],
    runs_dir: str | None,
    as_json: bool,
    quiet: bool,
    detach: bool,
    time_limit: str | None,
    requeue: bool,
    bell: bool,
) -> int:
    """Train what CONFIG asks for."""
    ends_at = _end_of(time_limit)
    _check_requeue(requeue, detach or not (headless or as_json or quiet))
    if not (headless or as_json or quiet or detach):
        with launching():
            from ecotui import app_verbs

            return app_verbs.run(config, settings, runs_dir, ends_at=ends_at, flags=app_flags())
    from ecotui import verbs

    style = verbs.style_of(as_json=as_json, quiet=quiet)
    return verbs.run(
        config,
        settings,
        runs_dir,
        style=style,
        detach=detach,
        ends_at=ends_at,
        requeue=requeue,
        bell=bell,
    )


@cli.command(context_settings=CONTEXT)
@click.option("--python", metavar="PATH", help="Examine another interpreter, 3.8 or later.")
@click.option("--fix", is_flag=True, help="Say what would mend it, and ask in a terminal.")
@click.option("--yes", is_flag=True, help="With --fix: mend it; undone unless it helps.")
@runs_dir_option
@json_option
def doctor(python: str | None, fix: bool, yes: bool, runs_dir: str | None, as_json: bool) -> int:
    """Examine the environment: versions, packages at work, devices, memory, disk."""
    from ecotui import check_verbs

    if yes and not fix:
        raise click.UsageError("--yes goes with --fix: ecotui doctor --fix --yes")
    if fix:
        return check_verbs.repair(runs_dir, python=python, as_json=as_json, yes=yes)
    return check_verbs.doctor(runs_dir, python=python, as_json=as_json)


@cli.command(context_settings=CONTEXT)
@click.argument("config")
@set_option
@runs_dir_option
@json_option
def preflight(config: str, settings: Sequence[str], runs_dir: str | None, as_json: bool) -> int:
    """Check the environment, the data and the model of CONFIG, without training."""
    from ecotui import check_verbs

    return check_verbs.preflight(config, settings, runs_dir, as_json=as_json)


cli.add_command(audit)


@cli.command(context_settings=CONTEXT)
@run_or_latest
@headless_option
@runs_dir_option
@json_option
@quiet_option
@bell_option
@app_options
def attach(
    run: str, headless: bool, runs_dir: str | None, as_json: bool, quiet: bool, bell: bool
) -> int:
    """Watch RUN from its beginning; Ctrl-C leaves it running."""
    if not (headless or as_json or quiet):
        with launching():
            from ecotui import app_verbs

            return app_verbs.attach(run, runs_dir, flags=app_flags())
    from ecotui import verbs

    style = verbs.style_of(as_json=as_json, quiet=quiet)
    return verbs.attach(run, runs_dir, style=style, bell=bell)


@cli.command(context_settings=CONTEXT)
@click.argument("run", required=False)
@set_option
@click.option(
    "--if-exists",
    metavar="CONFIG",
    help="The newest run of CONFIG: go on with it, or begin one; done where it is finished.",
)
@click.option("--smaller", is_flag=True, help="With half the micro-batch; the batch stays.")
@time_limit_option
@requeue_option
@headless_option
@runs_dir_option
@json_option
@quiet_option
@app_options
def resume(
    run: str | None,
    settings: Sequence[str],
    if_exists: str | None,
    smaller: bool,
    time_limit: str | None,
    requeue: bool,
    headless: bool,
    runs_dir: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Go on with RUN from its newest checkpoint; the latest one by default."""
    ends_at = _end_of(time_limit)
    if if_exists is not None and (run is not None or smaller):
        raise click.UsageError("--if-exists CONFIG chooses the run: leave RUN and --smaller out")
    if if_exists is None and not (headless or as_json or quiet):
        _check_requeue(requeue, True)
        with launching():
            from ecotui import app_verbs

            return app_verbs.resume(
                run or "latest",
                runs_dir,
                settings,
                smaller=smaller,
                ends_at=ends_at,
                flags=app_flags(),
            )
    from ecotui import resuming, verbs

    style = verbs.style_of(as_json=as_json, quiet=quiet)
    if if_exists is not None:
        return verbs.resume_if_exists(
            if_exists, settings, runs_dir, style=style, ends_at=ends_at, requeue=requeue
        )
    going = resuming.plan(run or "latest", runs_dir, settings, smaller=smaller)
    return verbs.resume(going, style=style, ends_at=ends_at, requeue=requeue)


@cli.command(context_settings=CONTEXT)
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def runs(runs_dir: str | None, as_json: bool) -> int:
    """List the runs, newest first."""
    from ecotui import verbs

    return verbs.runs(runs_dir, as_json=as_json)


@cli.command(context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
@click.option("--wait/--no-wait", default=True, help="Wait until it has ended. [wait]")
@click.option("--after-epoch", is_flag=True, help="Once the epoch under way is done.")
def stop(run: str, runs_dir: str | None, wait: bool, after_epoch: bool) -> int:
    """Save a checkpoint of RUN and stop it."""
    from ecotui import verbs

    return verbs.stop(run, runs_dir, wait=wait, after_epoch=after_epoch)


for _command in COMMANDS:
    cli.add_command(_command)


@cli.command(context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(run: str, runs_dir: str | None, yes: bool) -> int:
    """Remove RUN with its checkpoints."""
    from ecotui import verbs

    return verbs.delete(run, runs_dir, yes=yes)


@cli.command(context_settings=CONTEXT)
@run_or_latest
@runs_dir_option
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, help="How many. [100]")
@click.option("-f", "--follow", is_flag=True, help="Go on as long as the run does.")
def logs(run: str, runs_dir: str | None, lines: int, follow: bool) -> int:
    """Print the last lines of RUN's engine.log."""
    from ecotui import verbs

    return verbs.logs(run, runs_dir, lines=lines, keep_on=follow)


@cli.command(context_settings=CONTEXT)
@run_or_latest
@runs_dir_option
@click.option(
    "--format", "form", type=click.Choice(["pth", "timm"]), required=True, help="Of the weights."
)
@click.option("--output", metavar="PATH", help="Where to; must not exist. [RUN/exports/...]")
def export(run: str, runs_dir: str | None, form: str, output: str | None) -> int:
    """Write RUN's best weights as a plain file or a timm folder."""
    from ecotui import verbs

    return verbs.export(run, runs_dir, form=form, output=output)


@cli.command("import-weights", context_settings=CONTEXT)
@click.argument("file")
@click.option(
    "--output", metavar="FILE.safetensors", help="Where to; must not exist. [beside FILE]"
)
@click.option("--model", metavar="NAME", help="Say how well they fit this model of timm.")
@runs_dir_option
@json_option
def import_weights(
    file: str, output: str | None, model: str | None, runs_dir: str | None, as_json: bool
) -> int:
    """Make FILE (.pth, .pt, .bin, .safetensors), whoever made it, safe to train from."""
    from ecotui import weights_verbs

    return weights_verbs.import_weights(file, output, model, runs_dir, as_json=as_json)


cli.add_command(replay)
cli.add_command(config)


def _end_of(time_limit: str | None) -> float | None:
    from ecotui import wall_clock

    return wall_clock.end_of(time_limit)


def _check_requeue(requeue: bool, is_left_alone: bool) -> None:
    """Refuse to requeue where nobody would be there to do it when the run ends."""
    if requeue and is_left_alone:
        raise click.UsageError("--requeue needs --headless, and no --detach")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line of `ecotui`."""
    raise SystemExit(exit_code(lambda: _run(argv)))


def _run(argv: Sequence[str] | None) -> object:
    try:
        return cli.main(argv, prog_name="ecotui", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED


def _leave_quietly() -> None:
    """Point stdout nowhere: flushing what is left would fail once more as Python exits."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

"""The commands that ask something of a run; every heavy import is deferred."""

from __future__ import annotations

import click

from ecotui.cli_options import CONTEXT, run_or_latest, runs_dir_option


@click.command(context_settings=CONTEXT)
@run_or_latest
@runs_dir_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def status(run: str, runs_dir: str | None, as_json: bool) -> int:
    """Say how RUN stands: progress, health, scorecard, alerts."""
    from ecotui import status_verbs

    return status_verbs.status(run, runs_dir, as_json=as_json)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
@click.option("--free-memory", is_flag=True, help="Leave the accelerator's memory to others.")
def pause(run: str, runs_dir: str | None, free_memory: bool) -> int:
    """Let RUN stand still between two steps."""
    from ecotui import request_verbs

    return request_verbs.pause(run, runs_dir, free_memory=free_memory)


@click.command("continue", context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
def continue_(run: str, runs_dir: str | None) -> int:
    """Let a paused RUN go on."""
    from ecotui import request_verbs

    return request_verbs.go_on(run, runs_dir)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
def save(run: str, runs_dir: str | None) -> int:
    """Save a checkpoint of RUN now; it goes on."""
    from ecotui import request_verbs

    return request_verbs.save(run, runs_dir)


@click.command("set-lr", context_settings=CONTEXT)
@click.argument("run")
@click.argument("value", type=float)
@runs_dir_option
def set_lr(run: str, value: float, runs_dir: str | None) -> int:
    """Change the peak of RUN's learning rate to VALUE; the schedule keeps its shape."""
    from ecotui import request_verbs

    return request_verbs.set_learning_rate(run, runs_dir, value)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@click.option("--epochs", type=int, required=True, metavar="N", help="In all.")
@runs_dir_option
def extend(run: str, epochs: int, runs_dir: str | None) -> int:
    """Give RUN another total of epochs, finished or under way."""
    from ecotui import request_verbs

    return request_verbs.extend(run, runs_dir, epochs)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@click.argument("guard")
@click.option("--undo", is_flag=True, help="Let it act again.")
@runs_dir_option
def silence(run: str, guard: str, undo: bool, runs_dir: str | None) -> int:
    """Let GUARD of RUN go on telling, but act no more."""
    from ecotui import request_verbs

    return request_verbs.silence(run, runs_dir, guard, undo=undo)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@runs_dir_option
def norms(run: str, runs_dir: str | None) -> int:
    """Have RUN write down each layer's gradient norms for its next batch."""
    from ecotui import request_verbs

    return request_verbs.measure_norms(run, runs_dir)


@click.command(context_settings=CONTEXT)
@click.argument("run")
@click.option("--return", "back", multiple=True, metavar="FILE", help="Use it again on resume.")
@runs_dir_option
def quarantine(run: str, back: tuple[str, ...], runs_dir: str | None) -> int:
    """List the samples that RUN has set aside, and why; or bring some back."""
    from ecotui import quarantine_verbs

    return quarantine_verbs.quarantine(run, runs_dir, back)


COMMANDS: tuple[click.Command, ...] = (
    *(status, pause, continue_, save, set_lr, extend, silence),
    *(norms, quarantine),
)
"""In the order in which the help names them."""

"""What the command line's verbs ask of a run that is under way, and how they tell its answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
from pydantic import ValidationError

from ecotui import headless, lock, resuming, session
from ecotui.commands import (
    Command,
    ContinueRun,
    ExtendRun,
    MeasureNorms,
    PauseRun,
    SaveCheckpoint,
    SetLearningRate,
    SilenceGuard,
)
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.events import CommandAnswered
from ecotui.narration import progress
from ecotui.paths import RunDir, choose_runs_dir, find_run
from ecotui.runs_table import glance, row_of
from ecotui.stream import Tail, whole_bytes
from ecotui.text import visible

ANSWER_SECONDS = 30.0
"""An engine that is loading its libraries or takes a long step answers later than others."""


def pause(reference: str, runs_dir: str | None, *, free_memory: bool) -> int:
    """Have a run stand still.

    Raises:
        UsageError: No such run, or it is not running.
        EcoError: It refused, or did not answer in time.
    """
    return _ask(reference, runs_dir, PauseRun(free_memory=free_memory))


def go_on(reference: str, runs_dir: str | None) -> int:
    """Have a paused run go on; raises as `pause` does."""
    return _ask(reference, runs_dir, ContinueRun())


def save(reference: str, runs_dir: str | None) -> int:
    """Have a run save a checkpoint; raises as `pause` does."""
    return _ask(reference, runs_dir, SaveCheckpoint())


def measure_norms(reference: str, runs_dir: str | None) -> int:
    """Have a run write down each layer's gradient norms; raises as `pause` does."""
    return _ask(reference, runs_dir, MeasureNorms())


def set_learning_rate(reference: str, runs_dir: str | None, rate: float) -> int:
    """Change the peak of a run's learning rate; raises as `pause` does."""
    return _ask(
        reference,
        runs_dir,
        _made(lambda: SetLearningRate(learning_rate=rate), f"{rate:g}", "a number above zero"),
    )


def silence(reference: str, runs_dir: str | None, guard: str, *, undo: bool) -> int:
    """Let a guard of a run tell, but not act; raises as `pause` does."""
    return _ask(
        reference,
        runs_dir,
        _made(
            lambda: SilenceGuard(guard=guard, silent=not undo),
            visible(guard, limit=64),
            "the name of a guard, as a run tells it",
        ),
    )


def extend(reference: str, runs_dir: str | None, epochs: int) -> int:
    """Change how many epochs a run has in all, alive or not; raises as `pause` does."""
    command = _made(lambda: ExtendRun(epochs=epochs), str(epochs), "1 to 100,000 epochs")
    found = find_run(reference, choose_runs_dir(runs_dir))
    if lock.is_held(found.lock):
        return _ask(str(found.path), runs_dir, command)
    click.echo(resuming.extend(found, epochs))
    return ExitCode.DONE


def _made(make: Callable[[], Command], given: str, expected: str) -> Command:
    try:
        return make()
    except ValidationError:
        raise UsageError(f"{given} is not possible", expected, "correct the value") from None


def _ask(reference: str, runs_dir: str | None, command: Command) -> int:
    found = find_run(reference, choose_runs_dir(runs_dir))
    if not lock.is_held(found.lock):
        raise UsageError(
            f"{found.run_id} is not running ({row_of(found).state})",
            "a run that is under way",
            "see them all: ecotui runs; to go on with one: ecotui resume RUN",
        )
    tail = Tail(found.events, offset=whole_bytes(found.events))
    session.attach(found).request(command)
    answer = _answer(found, tail, command)
    if not answer.accepted:
        raise EcoError(
            f"{found.run_id} refused: {visible(answer.why)}",
            "a request that the run can meet as it stands now",
            f"see where it stands: ecotui attach {found.run_id} --headless",
        )
    click.echo(f"{found.run_id}: {visible(answer.why)}")
    return ExitCode.DONE


def _answer(run: RunDir, tail: Tail, command: Command) -> CommandAnswered:
    """Wait for the answer to a command."""
    deadline = time.monotonic() + ANSWER_SECONDS
    is_last_look = False
    while True:
        for _, event in tail.read():
            if isinstance(event, CommandAnswered) and event.command_id == command.id:
                return event
        if is_last_look:
            raise EcoError(
                f"{run.run_id} ended before it answered",
                "a run that is under way",
                "see how it ended: ecotui runs",
            )
        if time.monotonic() > deadline:
            raise EcoError(
                f"{run.run_id} is busy and has not answered within {ANSWER_SECONDS:.0f} s "
                f"({visible(progress(glance(run)))})",
                "an answer between two steps",
                "the request stands and is answered as soon as it can be: ecotui attach "
                f"{run.run_id} --headless shows it",
            )
        is_last_look = not lock.is_held(run.lock)
        time.sleep(headless.READ_INTERVAL_SECONDS)

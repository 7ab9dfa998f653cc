"""The end of a run in words, and the exit code that goes with it.

Pure: the same state gives the same text to who watched the whole run and to
who attaches after its end.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import assert_never

from rich.cells import set_cell_size

from ecotui.errors import EcoError, ExitCode
from ecotui.events import (
    ClassScore,
    EngineLost,
    RunFailed,
    RunFinished,
    RunStopped,
    ValidationFinished,
    WeightsImported,
)
from ecotui.failure_text import pointers
from ecotui.paths import RunDir
from ecotui.scorecard import scorecard
from ecotui.scorecard_text import scorecard_lines
from ecotui.state import Ending, RunState
from ecotui.text import bytes_size, counted, duration, number, percent, visible

MAX_TABLE_ROWS = 30
_NAME_CELLS = 32


def exit_code(ending: Ending | None) -> ExitCode:
    """Return what a command that followed the run to its end exits with."""
    match ending:
        case RunFinished():
            return ExitCode.DONE
        case RunStopped() | RunFailed():
            known = ending.exit_code in ExitCode._value2member_map_
            return ExitCode(ending.exit_code) if known else ExitCode.ERROR
        case EngineLost() | None:
            return ExitCode.ERROR
        case _ as never:
            assert_never(never)


def as_error(state: RunState) -> EcoError:
    """Return a run's unhappy end as the error of the command that waited for it."""
    ending = state.ending
    if isinstance(ending, RunFailed):
        return EcoError(
            visible(ending.what),
            visible(ending.expected),
            visible(ending.remedy),
            exit_code(ending),
            more=pointers(exit_code(ending)),
        )
    words = ending.last_words if isinstance(ending, EngineLost) else ()
    return EcoError(
        f"the engine is gone: {visible(words[-1]) if words else 'no last words'}",
        "an engine that ends its job",
        "look at the memory that is free and try again",
        exit_code(ending),
        more=pointers(exit_code(ending)),
    )


def fault_before_training(state: RunState) -> tuple[str, ...]:
    """Return why a run failed before it trained, in lines; empty where it did not."""
    is_fault = isinstance(state.ending, RunFailed | EngineLost) and not state.epoch
    return tuple(as_error(state).lines()) if is_fault else ()


def summary_on_a_page(state: RunState, run: RunDir) -> list[str]:
    """Return the same with what can be done next before the tables, for whoever reads from the top.

    On a page of 24 lines the classes and the scorecard would push it out of sight.
    """
    lines = summary_lines(state, run)
    shown = state.best_validation or state.validation
    for table in ([] if shown is None else _class_table(shown), _scored(state)):
        lines = _moved_to_the_end(lines, table)
    return lines


def _moved_to_the_end(lines: list[str], part: list[str]) -> list[str]:
    size = len(part)
    for at in range(len(lines) - size + 1):
        if size and lines[at : at + size] == part:
            return [*lines[:at], *lines[at + size :], *part]
    return lines


def summary_lines(state: RunState, run: RunDir) -> list[str]:
    """Return how a run ended, what it reached and what can be done next."""
    ending = state.ending
    match ending:
        case RunFinished():
            return _finished(state, ending, run)
        case RunStopped():
            return _stopped(state, ending, run)
        case RunFailed():
            return _failed(state, ending, run)
        case EngineLost():
            return _lost(state, ending, run)
        case None:
            return [f"run {run.run_id} has not ended"]
        case _ as never:
            assert_never(never)


def result_lines(state: RunState, run: RunDir) -> list[str]:
    """Return the summary without the classes one by one; a run under way has what it reached."""
    if state.ending is None:
        return [
            f"under way: epoch {state.epoch} of {state.epochs_planned}",
            *_reached(_bare(state)),
        ]
    return summary_lines(_bare(state), run)


def _bare(state: RunState) -> RunState:
    return replace(state, validation=None, best_validation=None)


def verdict_lines(state: RunState, sound: str) -> list[str]:
    """Return how an examination ended, the checks having been told one by one.

    Args:
        state: Of the job that examined.
        sound: What to say where nothing failed.
    """
    ending = state.ending
    failures = [check for check in state.checks if check.verdict == "fail"]
    if failures:
        return [f"{counted(len(failures), 'check')} failed"]
    if isinstance(ending, RunFinished):
        warnings = sum(check.verdict == "warn" for check in state.checks)
        warnings += sum(finding.verdict == "warn" for finding in state.outlook.findings)
        return [f"{sound}; {counted(warnings, 'warning')}" if warnings else sound]
    if isinstance(ending, RunStopped):
        return [f"stopped: {visible(ending.reason)}; not everything was checked"]
    words = ending.last_words if isinstance(ending, EngineLost) else ()
    return [*as_error(state).lines(), *(f"  {visible(word)}" for word in words)]


def import_lines(imported: WeightsImported) -> list[str]:
    """Return what was imported, and how to train from it."""
    under = f", found under '{visible(imported.found_under)}'" if imported.found_under else ""
    lines = [
        f"written: {visible(imported.path)} ({bytes_size(imported.num_bytes)})",
        f"{counted(imported.num_tensors, 'tensor')}, "
        f"{imported.num_parameters / 1e6:,.1f} million parameters{under}",
    ]
    if imported.num_classes is not None:
        lines.append(
            f"its classifier tells {counted(imported.num_classes, 'class', 'classes')} apart"
        )
    if imported.num_left_out:
        entries = counted(imported.num_left_out, "entry that is", "entries that are")
        lines.append(f"left out: {entries} no tensor")
    name = "model.name=MODEL"
    if imported.model is not None:
        lines.append(f"model {visible(imported.model)}: {visible(imported.fitting)} fit")
        name = f"model.name={imported.model}"
    weights = f"model.weights={imported.path}"
    command = ("ecotui", "CONFIG", "--set", name, "--set", weights)
    return [*lines, f"to train from it: {visible(shlex.join(command))}"]


def _finished(state: RunState, ending: RunFinished, run: RunDir) -> list[str]:
    if ending.why == "job":
        return _job_lines(state)
    after = f" after {duration(ending.seconds)}"
    done, planned = ending.epochs_done, ending.epochs_planned
    why = {
        "epochs": f"all {counted(planned, 'epoch')}",
        "early_stopping": f"early stopping at {done} of {counted(planned, 'epoch')}",
        "max_steps": f"step limit {ending.step:,} reached in epoch {max(done, state.epoch)} "
        f"of {planned}",
    }[ending.why]
    return [
        f"training completed: {why}{after}",
        *_reached(state),
        *_scored(state),
        *_next_steps(state, run),
    ]


def _job_lines(state: RunState) -> list[str]:
    if state.imported is not None:
        return import_lines(state.imported)
    if state.export is not None:
        export = state.export
        size = bytes_size(export.num_bytes)
        return [f"written: {visible(export.path)} ({export.format}, {size})"]
    return ["done"]


def _stopped(state: RunState, ending: RunStopped, run: RunDir) -> list[str]:
    where = f"epoch {state.epoch or ending.epoch}, step {ending.step:,}"
    lines = [f"stopped: {visible(ending.reason)} ({where})", *_reached(state)]
    if ending.checkpoint is None:
        lines.append("nothing had been trained yet, so no checkpoint was saved")
    else:
        lines.append(f"checkpoint of this step: {_inside(run, ending.checkpoint)}")
    return [*lines, *_scored(state), *_next_steps(state, run), _go_on(run)]


def _scored(state: RunState) -> list[str]:
    """Return the scorecard of a run that has begun to train."""
    return scorecard_lines(scorecard(state)) if state.epoch else []


def _failed(state: RunState, ending: RunFailed, run: RunDir) -> list[str]:
    told = EcoError(visible(ending.what), visible(ending.expected), visible(ending.remedy))
    lines = list(told.lines())
    if ending.discard:
        return [*lines, *pointers(ending.exit_code)]
    if ending.checkpoint is not None:
        lines.append(f"last good checkpoint: {_inside(run, ending.checkpoint)}")
    lines += [*_reached(state), *_scored(state), *_next_steps(state, run)]
    if ending.checkpoint is not None:
        lines.append(_go_on(run))
    return [*lines, *pointers(ending.exit_code, run.log)]


def _lost(state: RunState, ending: EngineLost, run: RunDir) -> list[str]:
    where = f" in epoch {state.epoch}, after step {state.step:,}" if state.step else ""
    lines = [f"error: the engine of {run.run_id} is gone without a last word{where}"]
    if ending.last_words:
        lines.append("its last words:")
        lines += [f"  {visible(word)}" for word in ending.last_words]
    if ending.checkpoint is None:
        lines.append("no checkpoint had been committed")
    else:
        lines.append(f"last committed checkpoint: {_inside(run, ending.checkpoint)}")
    return [
        *lines,
        *_reached(state),
        *_scored(state),
        *_next_steps(state, run),
        _go_on(run),
        *pointers(ExitCode.ERROR, run.log),
    ]


def _reached(state: RunState) -> list[str]:
    """Say how good the model is: best validation, test, and the classes one by one."""
    lines = []
    if state.best is not None:
        best = state.best
        chosen = "" if best.metric == "accuracy" else f", chosen by {visible(best.metric)}"
        lines.append(
            f"best validation accuracy {percent(best.accuracy)}, "
            f"macro F1 {number(best.macro_f1)} (epoch {best.epoch}{chosen})"
        )
    if state.test is not None:
        test = state.test
        lines.append(
            f"test accuracy {percent(test.accuracy)}, macro F1 {number(test.macro_f1)}, "
            f"on {counted(test.num_images, 'image')}"
        )
    if state.num_set_aside:
        lines.append(
            f"{counted(state.num_set_aside, 'sample')} set aside as unreadable, named in "
            "quarantine.jsonl"
        )
    shown = state.best_validation or state.validation
    return lines if shown is None else [*lines, *_class_table(shown)]


def _class_table(validation: ValidationFinished) -> list[str]:
    scores = list(validation.per_class)
    if not scores:
        return []
    if len(scores) > MAX_TABLE_ROWS:
        scores = sorted(scores, key=lambda score: score.f1)[:MAX_TABLE_ROWS]
    head = f"  {'class':{_NAME_CELLS}} precision   recall       F1   images"
    lines = [f"validation of epoch {validation.epoch}, class by class:", head]
    lines += [_class_row(score) for score in scores]
    left_out = max(validation.num_classes, len(validation.per_class)) - len(scores)
    if left_out > 0:
        more = counted(left_out, "more class", "more classes")
        lines.append(f"  lowest F1 first; {more} not shown: {visible(validation.file)}")
    return lines


def _class_row(score: ClassScore) -> str:
    name = set_cell_size(visible(score.name), _NAME_CELLS)
    return (
        f"  {name} {percent(score.precision):>9} {percent(score.recall):>8} "
        f"{number(score.f1):>8} {score.support:>8,}"
    )


def _next_steps(state: RunState, run: RunDir) -> list[str]:
    if state.best is None:
        return []
    return [
        f"best checkpoint: {_inside(run, state.best.path)}",
        f"to use it elsewhere: ecotui export {visible(_reference(run))} --format pth",
    ]


def _go_on(run: RunDir) -> str:
    return f"to go on from here: ecotui resume {visible(_reference(run))} --headless"


def _reference(run: RunDir) -> str:
    """Name a run so that any working directory finds it."""
    return str(run.path)


def _inside(run: RunDir, relative: str) -> str:
    return visible(run.path / relative)

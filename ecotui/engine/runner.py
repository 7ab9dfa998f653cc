"""A job from its first to its last event: every failure becomes RunFailed."""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ecotui.config import RunConfig
from ecotui.config_file import parse_file
from ecotui.engine.control import Control, StopRequested
from ecotui.engine.diagnose import Circumstances, Diagnosis, diagnose
from ecotui.engine.emit import Emit
from ecotui.engine.repair import Repair
from ecotui.errors import EcoError, EnvironmentFaultError, ExitCode
from ecotui.events import (
    TERMINAL_KINDS,
    CheckpointSaved,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStopped,
    SetupAdvanced,
)
from ecotui.jobs import (
    JOB_ADAPTER,
    DescribeJob,
    DiagnoseJob,
    ExportJob,
    Job,
    PreflightJob,
    TrainJob,
)
from ecotui.paths import RunDir
from ecotui.text import visible

if TYPE_CHECKING:
    from ecotui.engine.data.index import DataIndex
    from ecotui.engine.trainer import Trainer


_STEP = re.compile(r"step-(\d+)")


class Watched:
    """Passes events on and remembers what a failure's report needs of them."""

    def __init__(self, emit: Emit, attempt: int) -> None:
        self._emit = emit
        self.attempt = attempt
        self.has_begun = attempt > 1
        self.has_ended = False
        self.checkpoint: str | None = None

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        self.has_begun = self.has_begun or event.kind == "run_started"
        self.has_ended = self.has_ended or event.kind in TERMINAL_KINDS
        if isinstance(event, CheckpointSaved):
            self.checkpoint = event.path
        elif isinstance(event, RunResumed):
            self.checkpoint = event.checkpoint
        self._emit(event)


def run_job(run: RunDir, control: Control, emit: Emit, *, attempt: int = 1) -> ExitCode:
    """Do the job of a run directory and return the engine's exit code.

    Args:
        run: The directory.
        control: Looked at between steps.
        emit: Where the facts go.
        attempt: 1 for a new run; from 2 on it goes on from its newest checkpoint.

    Emits:
        Everything the job states, and as the last event RunFinished, RunStopped
        or RunFailed.
    """
    watched = Watched(emit, attempt)
    if attempt > 1:
        watched.checkpoint = _newest_checkpoint(run)
    try:
        return _dispatch(_read_job(run), run, control, watched)
    except StopRequested as stop:
        # Before the loop: what an earlier attempt saved is what stands.
        saved = watched.checkpoint
        step = 0 if saved is None else int(_STEP.findall(saved)[0])
        watched(RunStopped(reason=stop.reason, epoch=0, step=step, checkpoint=saved))
        return ExitCode.RESUMABLE
    except EcoError as error:
        traceback.print_exc()
        return _fail(error, watched)
    except Exception as error:
        traceback.print_exc()
        return _fail(_explained(error, run), watched)


def _newest_checkpoint(run: RunDir) -> str | None:
    """Name the newest committed state without the libraries that could load it."""
    found = sorted(path.parent.name for path in run.checkpoints.glob("step-*/MANIFEST.json"))
    return f"{run.checkpoints.name}/{found[-1]}" if found else None


def _read_job(run: RunDir) -> Job:
    try:
        return JOB_ADAPTER.validate_json(run.job.read_bytes())
    except (OSError, ValidationError) as error:
        raise EcoError(
            f"{visible(run.job)} does not say what to do: {visible(error, limit=200)}",
            "a job written by ecotui",
            "start a new run: ecotui --headless CONFIG",
        ) from error


def _dispatch(job: Job, run: RunDir, control: Control, emit: Watched) -> ExitCode:
    started = time.monotonic()
    match job:
        case TrainJob():
            return _train(run, control, emit)
        case ExportJob():
            from ecotui.engine.export import export  # noqa: PLC0415 - torch takes seconds

            export(job, emit)
        case DescribeJob():
            from ecotui.engine.describe import describe  # noqa: PLC0415 - needs no torch

            describe(job, emit)
        case DiagnoseJob():
            _examine(job, control, emit)
        case PreflightJob():
            _check_only(run, control, emit)
    emit(
        RunFinished(
            why="job",
            epochs_done=0,
            epochs_planned=0,
            step=0,
            best_checkpoint=None,
            seconds=time.monotonic() - started,
        )
    )
    return ExitCode.DONE


def _examine(job: DiagnoseJob, control: Control, emit: Emit) -> None:
    """Diagnose an interpreter, and mend it where that is asked for."""

    def examine(*, raises: bool) -> Diagnosis:
        return diagnose(
            control,
            emit,
            runs_path=Path(job.runs_path),
            python=job.python,
            raises=raises,
            circumstances=Circumstances(terminal=job.terminal),
        )

    if job.repair == "no":
        examine(raises=True)
        return
    repair = Repair(
        control,
        emit,
        lambda: examine(raises=False),
        python=job.python or sys.executable,
        is_own=job.python in (None, sys.executable),
    )
    (repair.tell if job.repair == "plan" else repair.mend)()


def _diagnose_quickly(
    config: RunConfig, runs_path: Path, control: Control, emit: Emit
) -> Diagnosis:
    """Examine what a run needs, and load the libraries meanwhile."""
    purpose = Circumstances(model=config.model.name, is_quick=True, loads=True)
    return diagnose(
        control,
        emit,
        runs_path=runs_path,
        device=config.compute.device,
        circumstances=purpose,
    )


def _train(run: RunDir, control: Control, emit: Watched) -> ExitCode:
    is_resumed = emit.attempt > 1 and run.resolved.is_file()
    config = parse_file(run.resolved if is_resumed else run.config)
    findings: list[dict[str, object]] = []
    if config.preflight.level != "off":
        findings = _diagnose_quickly(config, run.path.parent, control, emit).record()
    index = _read_data(config, emit)
    from ecotui.engine.assembly import announce, assemble, record  # noqa: PLC0415
    from ecotui.engine.checkpoint import clear_leftovers  # noqa: PLC0415
    from ecotui.engine.resumption import facts_of, resume  # noqa: PLC0415
    from ecotui.engine.saving import Saver  # noqa: PLC0415
    from ecotui.engine.train_state import LoopState  # noqa: PLC0415
    from ecotui.engine.trainer import Trainer  # noqa: PLC0415

    control.poll(0)
    parts = assemble(config, index, emit)
    try:
        record(parts, run, findings)
        clear_leftovers(run.checkpoints)
        emit(announce(parts))
        facts = facts_of(parts, run)
        loop = resume(parts, run, facts, emit.attempt, emit) if is_resumed else LoopState()
        saver = Saver(
            run.path,
            parts.trainable,
            emit,
            interval_seconds=config.checkpoint.interval_seconds,
            keep=config.checkpoint.keep,
            facts=facts,
        )
        return _finish(Trainer(parts, run, saver, loop, control, emit), emit)
    finally:
        parts.close()


def _check_only(run: RunDir, control: Control, emit: Emit) -> None:
    """Layers 1 to 3 of what `config.toml` asks for, without training."""
    config = parse_file(run.config)
    _diagnose_quickly(config, run.path.parent.parent, control, emit)
    index = _read_data(config, emit)
    from ecotui.engine.assembly import announce, assemble  # noqa: PLC0415
    from ecotui.engine.preflight import preflight  # noqa: PLC0415

    control.poll(0)
    is_full = config.preflight.level == "full"
    level = config.preflight.model_copy(update={"level": "full" if is_full else "quick"})
    parts = assemble(config, index, emit)
    try:
        stages = ("audit", "preflight") if is_full else ("preflight",)
        emit(announce(parts).model_copy(update={"stages": stages}))
        preflight(parts, level, control, emit)
    finally:
        parts.close()


def _read_data(config: RunConfig, emit: Emit) -> DataIndex:
    """Read the data set, then load what works on it.

    The data come first: what is wrong with them shows without the seconds torch needs.
    """
    from ecotui.engine.data.index import build_index  # noqa: PLC0415 - NumPy may be broken

    emit(SetupAdvanced(doing="reading the data set"))
    index = build_index(config.data, config.train.seed)
    emit(SetupAdvanced(doing="loading PyTorch and timm"))
    _import_libraries()
    return index


def _finish(trainer: Trainer, emit: Emit) -> ExitCode:
    from ecotui.engine.preflight import preflight  # noqa: PLC0415

    loop, saver = trainer.loop, trainer.saver
    try:
        preflight(trainer.parts, trainer.parts.config.preflight, trainer.control, emit)
        why = trainer.train()
    except StopRequested as stop:
        loop.seconds = trainer.seconds
        saved = saver.save(loop, "stop")
        emit(RunStopped(reason=stop.reason, epoch=loop.epoch, step=loop.step, checkpoint=saved))
        return ExitCode.RESUMABLE
    try:
        trainer.test()
    except StopRequested as stop:
        # The state was saved at the end of the training; now the best weights are loaded.
        last = saver.last_path
        emit(RunStopped(reason=stop.reason, epoch=loop.epoch, step=loop.step, checkpoint=last))
        return ExitCode.RESUMABLE
    best = saver.best_path(loop)
    emit(
        RunFinished(
            why=why,
            epochs_done=loop.epoch,
            epochs_planned=trainer.parts.config.train.epochs,
            step=loop.step,
            best_checkpoint=None if best is None else str(best.relative_to(trainer.run.path)),
            seconds=trainer.seconds,
        )
    )
    return ExitCode.DONE


def _import_libraries() -> None:
    """Import what training needs; a broken installation is told as such."""
    logging.captureWarnings(True)
    try:
        import timm  # noqa: F401, PLC0415
        import torch  # noqa: F401, PLC0415
        import torchvision  # noqa: F401, PLC0415
    except Exception as error:
        raise EnvironmentFaultError(
            f"PyTorch, torchvision or timm cannot be loaded: {visible(error, limit=300)}",
            "releases of torch, torchvision and timm that fit one another",
            "pip install --upgrade torch torchvision timm in this environment",
        ) from error


def _explained(error: Exception, run: RunDir) -> EcoError:
    """Put an exception that nobody foresaw into three lines."""
    from ecotui.engine.compute import is_out_of_memory  # noqa: PLC0415

    said = visible(f"{type(error).__name__}: {error}", limit=300)
    if is_out_of_memory(error):
        return EcoError(
            f"memory ran out ({said})",
            "room for the model and one micro-batch",
            "lower train.micro_batch_size (the batch stays the same), or choose a smaller model",
            ExitCode.OUT_OF_MEMORY,
        )
    if isinstance(error, OSError):
        return EcoError(
            f"a file could not be read or written ({said})",
            f"room and permission in {visible(run.path)} and a readable data set",
            "free some space or mend the permissions; the whole story is in engine.log",
        )
    return EcoError(
        f"the training failed ({said})",
        "a step without an exception",
        f"the whole story is in {visible(run.log)}; if it looks like a fault of ecotui, report it",
    )


def _fail(error: EcoError, watched: Watched) -> ExitCode:
    watched(
        RunFailed(
            what=visible(error.what),
            expected=visible(error.expected),
            remedy=visible(error.remedy),
            exit_code=int(error.exit_code),
            checkpoint=watched.checkpoint,
            discard=not watched.has_begun,
        )
    )
    return error.exit_code

"""A job from its first to its last event: every failure becomes RunFailed."""

from __future__ import annotations

import contextlib
import re
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ecotui.config_file import parse_file
from ecotui.engine.control import Control, StopRequested
from ecotui.engine.deadline import Deadline
from ecotui.engine.diagnose import Circumstances, Diagnosis, diagnose
from ecotui.engine.emit import Emit
from ecotui.engine.failures import explained
from ecotui.engine.messenger import Messenger
from ecotui.engine.repair import Repair
from ecotui.engine.training_job import check_only, train
from ecotui.errors import EcoError, ExitCode
from ecotui.events import (
    TERMINAL_KINDS,
    CheckpointSaved,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStopped,
)
from ecotui.jobs import (
    JOB_ADAPTER,
    AuditJob,
    DescribeJob,
    DiagnoseJob,
    ExportJob,
    ImportJob,
    Job,
    PreflightJob,
    TrainJob,
)
from ecotui.notify_settings import NotifyConfig
from ecotui.paths import RunDir
from ecotui.resume_settings import with_settings
from ecotui.text import visible

_STEP = re.compile(r"step-(\d+)")


class Watched:
    """Passes events on and remembers what a failure's report needs of them."""

    def __init__(self, emit: Emit, attempt: int, deadline: Deadline) -> None:
        self._emit = emit
        self._deadline = deadline
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
            self._deadline.note_save(event.seconds)
        elif isinstance(event, RunResumed):
            self.checkpoint = event.checkpoint
        self._emit(event)


def run_job(
    run: RunDir,
    control: Control,
    emit: Emit,
    *,
    attempt: int = 1,
    settings: Sequence[str] = (),
) -> ExitCode:
    """Do the job of a run directory and return the engine's exit code.

    Args:
        run: The directory.
        control: Looked at between steps.
        emit: Where the facts go.
        attempt: 1 for a new run; from 2 on it goes on from its newest checkpoint.
        settings: `key=value`, to be changed before the job begins.

    Emits:
        Everything the job states, and as the last event RunFinished, RunStopped
        or RunFailed.
    """
    messenger = Messenger(emit, _whom_to_tell(run, settings), run)
    watched = Watched(messenger, attempt, control.deadline)
    control.speak_through(watched)
    if attempt > 1:
        watched.checkpoint = _newest_checkpoint(run)
    try:
        return _do(run, control, watched, settings)
    finally:
        messenger.close()


def _do(run: RunDir, control: Control, watched: Watched, settings: Sequence[str]) -> ExitCode:
    """Do the job; every failure becomes the last event."""
    try:
        return _dispatch(_read_job(run), run, control, watched, settings)
    except StopRequested as stop:
        # Before the loop: what an earlier attempt saved is what stands.
        saved = watched.checkpoint
        step = _step_of(saved)
        watched(RunStopped(reason=stop.reason, epoch=0, step=step, checkpoint=saved))
        return ExitCode.RESUMABLE
    except EcoError as error:
        traceback.print_exc()
        return _fail(error, watched)
    except Exception as error:
        traceback.print_exc()
        return _fail(explained(error, run), watched)


def _whom_to_tell(run: RunDir, settings: Sequence[str]) -> NotifyConfig:
    """Return who is told of a training; nobody of other jobs, nor where no config can be read."""
    with contextlib.suppress(EcoError):
        if isinstance(_read_job(run), TrainJob):
            config = parse_file(run.resolved if run.resolved.is_file() else run.config)
            return with_settings(config, settings).notify
    return NotifyConfig()


def _newest_checkpoint(run: RunDir) -> str | None:
    """Name the newest committed state without the libraries that could load it."""
    found = sorted(path.parent.name for path in run.checkpoints.glob("step-*/MANIFEST.json"))
    return f"{run.checkpoints.name}/{found[-1]}" if found else None


def _step_of(checkpoint: str | None) -> int:
    return 0 if checkpoint is None else int(_STEP.findall(checkpoint)[0])


def _read_job(run: RunDir) -> Job:
    try:
        return JOB_ADAPTER.validate_json(run.job.read_bytes())
    except (OSError, ValidationError) as error:
        raise EcoError(
            f"{visible(run.job)} does not say what to do: {visible(error, limit=200)}",
            "a job written by ecotui",
            "start a new run: ecotui --headless CONFIG",
        ) from error


def _dispatch(
    job: Job, run: RunDir, control: Control, emit: Watched, settings: Sequence[str]
) -> ExitCode:
    started = time.monotonic()
    match job:
        case TrainJob():
            return train(
                run,
                control,
                emit,
                attempt=emit.attempt,
                settings=settings,
                last_step=_step_of(emit.checkpoint),
            )
        case ExportJob():
            from ecotui.engine.export import export  # noqa: PLC0415 - torch takes seconds

            export(job, emit)
        case ImportJob():
            from ecotui.engine.importing import import_weights  # noqa: PLC0415 - rarely asked for

            import_weights(job, run.path, control, emit)
        case DescribeJob():
            from ecotui.engine.describe import describe  # noqa: PLC0415 - needs no torch

            describe(job, emit, lambda: control.poll(0))
        case DiagnoseJob():
            _examine(job, control, emit)
        case PreflightJob():
            check_only(run, control, emit)
        case AuditJob():
            from ecotui.engine.audit.audit_job import run_audit  # noqa: PLC0415 - needs no torch

            run_audit(job, run, control, emit)
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

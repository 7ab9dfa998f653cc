"""Writes what a saver planned: commits it, tells of it, and tends what is there.

Works in steps, in whatever thread drives it. A commit that fails is written
again from the start, once; then the job is kept for later.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecotui import disk
from ecotui.durable import sync_file, sync_folder
from ecotui.engine import checkpoint
from ecotui.engine.checkpoint import Committed, Steps
from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.emit import Emit
from ecotui.engine.keeping import Keeper
from ecotui.engine.snapshot import State, state_bytes
from ecotui.engine.tensors import TensorFile, find_finite
from ecotui.errors import EcoError
from ecotui.events import (
    BestCheckpointChanged,
    CheckpointSaved,
    HealthAlerted,
    LogWritten,
    SavingFailed,
    SavingRestored,
)
from ecotui.text import bytes_size, visible

LATEST_HINT, BEST_HINT = "latest", "best"
ROOM_FACTOR = 1.2
RESERVE_BYTES = 1_000_000
"""Room asked for before writing: the size times the factor, and the reserve beside it."""
TRIES = 2
"""The second one from the start: after a failed fsync nothing says what is on the disk."""

_SETTLED = ("config.toml", "job.json", "resolved.toml", "split.csv")
"""What a checkpoint cannot be resumed without; written by others, who need not wait for a disk."""


class NonfiniteError(Exception):
    """A state holds a number that is not finite, and is not to be saved as a good one."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A checkpoint to be committed.

    Attributes:
        name: Of its folder; None for the state of a step, which gets the next free one.
        tensors: By file and name; they must stay as they are until it is committed.
        files: Other content by file name.
        facts: What its manifest says, beside what is only known when it is written.
        announced: Stated once it is committed, with path, size and times filled in.
    """

    name: str | None
    tensors: State
    files: Mapping[str, bytes]
    facts: dict[str, Any]
    announced: CheckpointSaved | BestCheckpointChanged

    @property
    def num_bytes(self) -> int:
        """About what it will take on the disk."""
        return state_bytes(self.tensors) + sum(map(len, self.files.values()))


@dataclass(slots=True)
class Job:
    """Checkpoints to be committed one after the other.

    Attributes:
        planned: What is still to be written; a best model before the state that names it.
        started: Monotonic seconds of the wish.
        stall_seconds: How long training stood still; None where it waits to the end.
        tends: Whether old checkpoints are looked after when all is written.
        failure: What was raised at last.
    """

    planned: list[Planned]
    started: float = field(default_factory=time.monotonic)
    stall_seconds: float | None = None
    tends: bool = True
    failure: Exception | None = None

    @property
    def step(self) -> int:
        """Of the state, in optimizer steps."""
        return self.planned[-1].announced.step


class Writer:
    """Commits jobs, and keeps the one that the disk did not take.

    Args:
        run_path: The run directory.
        keep: How many of the newest states stay.
        emit: Where the facts go.
        spare_steps: See `Keeper`.
        exempt: Names of tensors that may hold numbers that are not finite.

    Attributes:
        has_refused: A state was not written because it is not finite.
        last_path: The newest committed state, relative to the run directory.
        failed: The job that could not be written, or None.
        is_tending: Whether what is left of the present work can be dropped.
        is_overdue: Whether the newest state was lost after all.
    """

    def __init__(
        self,
        run_path: Path,
        keep: int,
        emit: Emit,
        *,
        spare_steps: int = 0,
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self._run_path = run_path
        self._folder = run_path / "checkpoints"
        self._emit = emit
        self._keeper = Keeper(self._folder, keep, emit, spare_steps)
        self._exempt = exempt
        self.has_refused = False
        self._is_settled = False
        self._best: str | None = None
        self.failed: Job | None = None
        self.is_tending = self.is_overdue = False
        self.last_path = self._newest()

    def write(self, job: Job) -> Steps[None]:
        """Commit all that a job holds; what cannot be written twice, is kept in `failed`.

        Emits:
            BestCheckpointChanged, CheckpointSaved, CheckpointVerified,
            CheckpointDropped, HealthAlerted, LogWritten, SavingFailed.
        """
        self.is_tending = False
        try:
            yield from self._commit_all(job, TRIES)
        except NonfiniteError as error:
            self.has_refused = True
            self._emit(_refused(job, error))
            return
        if job.failure is not None:
            self.failed = job
            self._emit(self._told(job, job.failure))
        elif job.tends:
            yield from self._tend()

    def retry(self) -> Steps[None]:
        """Try once more to write the job that failed.

        Emits:
            As `write`; SavingRestored instead of SavingFailed.
        """
        job = self.failed
        if job is None:
            return
        step = job.step
        yield from self._commit_all(job, 1)
        if job.failure is None:
            self.failed = None
            self._emit(SavingRestored(step=step))
            if job.tends:
                yield from self._tend()

    def _commit_all(self, job: Job, tries: int) -> Steps[None]:
        job.failure = None
        while job.planned:
            planned = job.planned[0]
            committed = yield from self._commit_within(planned, job, tries)
            if committed is None:
                return
            self._announce(planned, job, committed)
            # The last one stays for its step to be told.
            if len(job.planned) == 1:
                return
            del job.planned[0]

    def _commit_within(self, planned: Planned, job: Job, tries: int) -> Steps[Committed | None]:
        """Commit one checkpoint in so many tries; None where the disk took it in none."""
        for _ in range(tries):
            try:
                return (yield from self._commit(planned))
            except Exception as error:
                if not _passes(error):
                    raise
                # Without its traceback, which would keep what the failed attempt has allocated.
                job.failure = error.with_traceback(None)
            if is_out_of_memory(job.failure):
                gc.collect()
        return None

    def _commit(self, planned: Planned) -> Steps[Committed]:
        self._settle()
        self._require_room(planned.num_bytes)
        for held in planned.tensors.values():
            for name, tensor in held.items():
                if name not in self._exempt and not (yield from find_finite({name: tensor})):
                    raise NonfiniteError(name)
        facts = {
            **planned.facts,
            "parent": self.last_path,
            "tensors": sum(map(len, planned.tensors.values())),
            "finite": True,
        }
        name = planned.name or checkpoint.step_name(self._folder, planned.announced.step)
        files = {file: TensorFile(held) for file, held in planned.tensors.items()}
        return (
            yield from checkpoint.commit_in_steps(
                self._folder, name, {**files, **planned.files}, facts
            )
        )

    def _announce(self, planned: Planned, job: Job, committed: Committed) -> None:
        """State what is committed; only then change the hints, which may lag behind."""
        job.failure = None
        path = str(committed.path.relative_to(self._run_path))
        if isinstance(planned.announced, BestCheckpointChanged):
            self._emit(planned.announced)
            checkpoint.write_hint(self._folder, BEST_HINT, committed.path.name)
            return
        seconds = time.monotonic() - job.started
        told = {
            "path": path,
            "num_bytes": committed.num_bytes,
            "seconds": seconds,
            "stall_seconds": seconds if job.stall_seconds is None else job.stall_seconds,
        }
        self.last_path, self.is_overdue = path, False
        self._best = planned.facts.get("best")
        self._emit(planned.announced.model_copy(update=told))
        checkpoint.write_hint(self._folder, LATEST_HINT, committed.path.name)

    def _tend(self) -> Steps[None]:
        self.is_tending = True
        try:
            yield from self._keeper.tend(self._best)
        except Exception as error:
            if not _passes(error):
                raise
            said = f"checkpoints cannot be looked after now: {_reason(error)}"
            again = "that is made up for after the next save"
            self._emit(LogWritten(severity="note", message=f"{said}; {again}"))
        if self.last_path is not None and not (self._run_path / self.last_path).is_dir():
            self.last_path, self.is_overdue = self._newest(), True

    def drop_later(self, step: int) -> None:
        """Drop the states of later steps than this one.

        Emits:
            CheckpointDropped.
        """
        self._keeper.drop_later(step)
        self.last_path = self._newest()

    def _require_room(self, num_bytes: int) -> None:
        free = disk.free_bytes(self._run_path)
        wanted = int(num_bytes * ROOM_FACTOR) + RESERVE_BYTES
        if free is not None and free < wanted:
            raise OSError(
                errno.ENOSPC,
                f"only {bytes_size(free)} are free, and {bytes_size(wanted)} are needed",
            )

    def _settle(self) -> None:
        """Flush, once, what is beside the checkpoints and needed with them."""
        if self._is_settled:
            return
        for name in _SETTLED:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(self._run_path / name, os.O_RDONLY | os.O_CLOEXEC)
                with disk.closing(descriptor):
                    sync_file(descriptor)
        sync_folder(self._run_path)
        sync_folder(self._run_path.parent)
        self._is_settled = True

    def _newest(self) -> str | None:
        newest = checkpoint.list_steps(self._folder)
        return str(newest[0].relative_to(self._run_path)) if newest else None

    def _told(self, job: Job, error: Exception) -> SavingFailed:
        return SavingFailed(
            step=job.step,
            what=f"the state of step {job.step:,} could not be saved, twice: {_reason(error)}",
            remedy=f"{_remedy(job, error, self._folder)}; training goes on by itself then",
            last_checkpoint=self.last_path,
            waits=True,
        )


def _refused(job: Job, error: NonfiniteError) -> HealthAlerted:
    return HealthAlerted(
        severity="critical",
        code="nonfinite_state",
        message=f"the state of step {job.step:,} is not finite ({visible(error, limit=200)}) and "
        "was not saved",
        advice="the checkpoints before it stand; lower train.learning_rate",
    )


def not_saved(job: Job, run_path: Path, last_path: str | None) -> EcoError:
    """Return what a run ends with whose last state cannot be saved."""
    error = job.failure or OSError(errno.EIO, os.strerror(errno.EIO))
    stands = "no checkpoint stands" if last_path is None else f"{last_path} stands"
    return EcoError(
        f"the state of step {job.step:,} could not be saved: {_reason(error)}",
        f"room for {bytes_size(_wanted(job))} in {visible(run_path)}; {stands}",
        f"{_remedy(job, error, run_path)}, then go on from there: ecotui resume {run_path.name}",
    )


def _wanted(job: Job) -> int:
    return int(sum(planned.num_bytes for planned in job.planned) * ROOM_FACTOR) + RESERVE_BYTES


def _passes(error: Exception) -> bool:
    """Say whether a failure is one of the disk or of memory, which may be over later."""
    return isinstance(error, OSError) or is_out_of_memory(error) or disk.is_storage_fault(error)


def _reason(error: Exception) -> str:
    if is_out_of_memory(error):
        return "memory ran out"
    said = error.strerror if isinstance(error, OSError) else str(error)
    return visible(said or str(error), limit=200)


def _remedy(job: Job, error: Exception, folder: Path) -> str:
    if is_out_of_memory(error):
        return f"end other programs: about {bytes_size(_wanted(job))} of memory are wanted"
    if disk.is_full(error):
        return f"free {bytes_size(_wanted(job))} on the disk of {visible(folder)}"
    return f"see to the disk and the permissions of {visible(folder)}"

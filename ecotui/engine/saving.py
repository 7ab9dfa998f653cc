"""What is saved when: the state at intervals, the best model, and what may go again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from ecotui.engine import checkpoint
from ecotui.engine.background import Background
from ecotui.engine.best_model import best_name, timm_config
from ecotui.engine.checkpoint import Steps, finished
from ecotui.engine.commits import Job, Planned, Writer, not_saved
from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.emit import Emit
from ecotui.engine.evaluate import Evaluation
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.machine.memory import measure_memory
from ecotui.engine.snapshot import State, state_bytes
from ecotui.engine.train_state import (
    EMA_FILE,
    LOOP_FILE,
    MODEL_FILE,
    Captured,
    LoopState,
    Trainable,
    capture,
)
from ecotui.events import BestCheckpointChanged, CheckpointSaved, LogWritten
from ecotui.text import bytes_size

Reason = Literal["interval", "epoch", "request", "stop", "end", "time_limit", "rollback"]

LEAVING: frozenset[Reason] = frozenset({"stop", "time_limit"})
"""Somebody waits for the process to leave."""
WAITED_FOR: frozenset[Reason] = LEAVING | {"end", "rollback"}
"""Nothing is trained afterwards, or not before it is safe: there is no need of a copy."""
BEST_FACTS = {"step", "epoch", "metric", "value", "accuracy", "macro_f1"}
RETRY_SECONDS = 5.0
"""Between two attempts while the disk cannot be written."""
POLL_SECONDS = 0.05
SPARE_MEMORY_BYTES = 500_000_000
"""Beside the copy, a quarter of it and this must stay free for training."""


class Saver:
    """Saves checkpoints of one run and tells when the next one is due.

    With `background`, the state is copied into memory that is kept, and written
    from there by a thread while training goes on; one at a time. Without it, or
    where memory is short, training waits until it is written.

    Args:
        run_path: The run directory.
        trainable: What is saved.
        emit: Where the facts go; called from the writing thread too.
        interval_seconds: Longest time between two checkpoints.
        keep: How many of the newest stay.
        facts: What every manifest says: config, data and environment.
        background: Whether to write while training goes on.
        copy: The copy of the state in host memory, which a rollback may use too.
        spare_steps: A checkpoint so many steps older than the newest one is kept, too.
        exempt: Names of tensors that may hold numbers that are not finite.

    Attributes:
        keeps_copy: The copy in memory is not to be replaced: what is saved may be thrown off.
    """

    def __init__(  # noqa: PLR0913
        self,
        run_path: Path,
        trainable: Trainable,
        emit: Emit,
        *,
        interval_seconds: float,
        keep: int,
        facts: dict[str, Any],
        background: bool = False,
        copy: HostCopy | None = None,
        spare_steps: int = 0,
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self._run_path = run_path
        self._folder = run_path / "checkpoints"
        self._trainable = trainable
        self._emit = emit
        self._interval_seconds = interval_seconds
        self._has_background = background
        self._is_prepared = False
        self._may_copy = True
        self._facts = facts
        self._last_saved = time.monotonic()
        self._copy = copy or HostCopy()
        self.keeps_copy = False
        self._background = Background()
        self._writer = Writer(run_path, keep, emit, spare_steps=spare_steps, exempt=exempt)
        self._best: Planned | None = None
        self._refused: tuple[LoopState, Reason] | None = None

    @property
    def last_path(self) -> str | None:
        """The newest committed state, relative to the run directory."""
        return self._writer.last_path

    @property
    def is_busy(self) -> bool:
        """Whether something is being written in the background, from the copy in memory."""
        return self._background.is_busy

    def take_refusal(self) -> bool:
        """Say, once, whether a state was not saved because it is not finite."""
        refused, self._writer.has_refused = self._writer.has_refused, False
        return refused

    def remember(self, loop: LoopState) -> bool:
        """Copy the state of this moment into memory without saving it; no where that cannot be.

        Args:
            loop: Where it stands.

        Emits:
            LogWritten where memory is too short.
        """
        if self._background.is_busy or not self._may_copy:
            return False
        captured = capture(self._trainable, loop)
        if self._copy.held is None and not self._has_room(captured):
            self._go_without_copy(captured)
            return False
        try:
            self._copy.take(captured, loop.step)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._go_without_copy(captured)
            return False
        return True

    def void_later(self, step: int) -> None:
        """Drop the states of later steps than one: they were gone back from.

        Called once a state of that step is saved that says so.

        Emits:
            CheckpointDropped.
        """
        self._finish_commit()
        self._writer.drop_later(step)

    def is_due(self) -> bool:
        """Say whether the interval has passed since the last checkpoint, and none is in work."""
        self._background.raise_failure()
        has_passed = time.monotonic() - self._last_saved >= self._interval_seconds
        return (has_passed or self._writer.is_overdue) and not self._background.is_busy

    def save(self, loop: LoopState, reason: Reason) -> str | None:
        """Save the state of this moment.

        Returns:
            Its path, relative to the run, once it is committed; None while it is
            still being written, where an interval's is put off because another one
            is being written, and where it could not be written: `attend` sees to it.

        Raises:
            EcoError: It cannot be written, and `reason` says that the run ends.

        Emits:
            CheckpointSaved, BestCheckpointChanged, CheckpointVerified,
            CheckpointDropped, SavingFailed; those from the writing thread.
        """
        started = time.monotonic()
        if reason == "interval" and self._background.is_busy:
            return None
        self._finish_commit()
        if self._writer.failed is not None and not self._retry():
            self._refused = (loop, reason)
            self._end_unsaved(reason)
            return None
        self._last_saved = started
        captured = capture(self._trainable, loop)
        copied = None
        if reason not in WAITED_FOR and not self.keeps_copy:
            copied = self._copied(captured, loop.step)
        job = Job(self._plans(captured, copied, loop, reason), started, tends=reason not in LEAVING)
        if copied is not None:
            job.stall_seconds = time.monotonic() - started
            self._background.start(self._writer.write(job))
            return None
        finished(self._writer.write(job))
        if self._writer.failed is not None:
            self._end_unsaved(reason)
            return None
        return self.last_path

    def save_best(
        self,
        judged: nn.Module,
        spec: InputSpec,
        class_names: Sequence[str],
        metric: str,
        evaluation: Evaluation,
        loop: LoopState,
    ) -> None:
        """Save the best model so far as a folder that plain timm loads.

        Written at once without `background`, else together with the next state,
        before it; nothing may be trained between the two. The one before goes when
        that state is committed: until then the newest state still names it.

        Emits:
            BestCheckpointChanged, once it is written.
        """
        epoch, value = loop.epoch + 1, evaluation.metric(metric)
        self._finish_commit()
        name = checkpoint.free_name(self._folder, best_name(epoch, evaluation.accuracy))
        loop.best_value, loop.best_epoch, loop.best_checkpoint = value, epoch, name
        announced = BestCheckpointChanged(
            path=f"{self._folder.name}/{name}",
            epoch=epoch,
            step=loop.step,
            metric=metric,
            value=value,
            accuracy=evaluation.accuracy,
            macro_f1=evaluation.macro_f1,
        )
        self._best = Planned(
            name=name,
            tensors={MODEL_FILE: dict(judged.state_dict())},
            files={"config.json": timm_config(judged, spec, class_names)},
            facts={**self._facts, **announced.model_dump(include=BEST_FACTS)},
            announced=announced,
        )
        if not self._has_background and self._writer.failed is None:
            self._write_best()

    def finish(self) -> str | None:
        """Wait until everything handed over is written, and return the last committed state.

        Raises:
            BaseException: What the writing thread could not handle.
        """
        self._background.wait()
        if self._best is not None and self._writer.failed is None:
            self._write_best()
        return self.last_path

    def attend(self, poll: Callable[[], None]) -> None:
        """Make the memory for copies ready; where saving has failed, wait until it works again.

        Called between steps, before anything of the next one is changed.

        Args:
            poll: Called while waiting; may raise to end it.

        Raises:
            BaseException: What `poll` raised, or what the writing thread could not handle.

        Emits:
            SavingRestored; LogWritten where memory is too short to write beside training.
        """
        self._background.raise_failure()
        if self._has_background and not self._is_prepared and self._trainable.optimizer.state:
            self._is_prepared = True
            self._prepare()
        while self._writer.failed is not None:
            self._background.wait()
            self._wait(poll)
            self._retry(poll)
        if self._refused is not None:
            (loop, reason), self._refused = self._refused, None
            self.save(loop, reason)

    def best_path(self, loop: LoopState) -> Path | None:
        """Return the best model's folder, or None where none is saved yet."""
        if loop.best_checkpoint is None:
            return None
        named = self._folder / loop.best_checkpoint
        # After a fall-back to an older state, a better one may have replaced the one it names.
        return named if named.is_dir() else checkpoint.find_best(self._folder)

    def _plans(
        self, captured: Captured, copied: State | None, loop: LoopState, reason: Reason
    ) -> list[Planned]:
        """Plan what is to be written: a best model that waits, then the state that names it."""
        tensors = captured.tensors if copied is None else copied
        plans = []
        if self._best is not None:
            source = MODEL_FILE if self._trainable.ema is None else EMA_FILE
            plans.append(replace(self._best, tensors={MODEL_FILE: tensors[source]}))
            self._best = None
        told = CheckpointSaved(
            path="", epoch=loop.epoch, step=loop.step, num_bytes=0, seconds=0.0, reason=reason
        )
        facts = {
            "exactness": "E2",
            **self._facts,
            **told.model_dump(include={"step", "epoch", "reason"}),
            "best": loop.best_checkpoint,
            "rollbacks": loop.num_rollbacks,
        }
        plans.append(Planned(None, tensors, {LOOP_FILE: captured.record}, facts, told))
        return plans

    def _copied(self, captured: Captured, step: int) -> State | None:
        """Return a copy of the state, or None where training has to wait for the writing."""
        if not (self._has_background and self._is_prepared):
            return None
        try:
            return self._copy.take(captured, step)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._go_without_copy(captured)
            return None

    def _prepare(self) -> None:
        """Make the memory for copies, once there is something that looks like the state."""
        captured = capture(self._trainable, LoopState())
        if self._has_room(captured):
            self._background.start(self._made_ready(captured))
        else:
            self._go_without_copy(captured)

    def _has_room(self, captured: Captured) -> bool:
        """Say whether there is memory for a copy beside what training needs."""
        available = measure_memory().available
        wanted = state_bytes(captured.tensors) * 1.25 + SPARE_MEMORY_BYTES
        return available is None or available >= wanted

    def _made_ready(self, captured: Captured) -> Steps[None]:
        try:
            yield from self._copy.prepare(captured.tensors)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._go_without_copy(captured)

    def _go_without_copy(self, captured: Captured) -> None:
        self._has_background = self._may_copy = False
        self._copy.give_up()
        needed = bytes_size(state_bytes(captured.tensors))
        message = f"there is no room in memory for a copy of the state ({needed})"
        self._emit(
            LogWritten(
                severity="note", message=f"{message}: training waits while checkpoints are written"
            )
        )

    def _write_best(self) -> None:
        best, self._best = self._best, None
        if best is not None:
            finished(self._writer.write(Job([best], tends=False)))

    def _finish_commit(self) -> None:
        """Have the save in flight committed; reading back can wait."""
        self._background.wait(unless=lambda: self._writer.is_tending)

    def _retry(self, poll: Callable[[], None] = lambda: None) -> bool:
        """Try again what has failed, and say whether it is written now."""
        steps = self._writer.retry()
        try:
            for _ in steps:
                poll()
        finally:
            steps.close()
        return self._writer.failed is None

    def _wait(self, poll: Callable[[], None]) -> None:
        until = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < until:
            poll()
            time.sleep(POLL_SECONDS)

    def _end_unsaved(self, reason: Reason) -> None:
        """Let the run end where it was to end; else `attend` tries again.

        Raises:
            EcoError: The run was to end with this state.
        """
        failed = self._writer.failed
        if failed is not None and reason in LEAVING:
            raise not_saved(failed, self._run_path, self.last_path)


def is_better(value: float, best: float | None, metric: str) -> bool:
    """Say whether a figure beats the best so far; a non-finite one never does."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if metric == "loss" else value > best

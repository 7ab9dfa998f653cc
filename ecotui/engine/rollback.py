"""Back to a state that is known to be sound, from memory or from the disk, and past the fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ecotui.engine import checkpoint
from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.manifest import BadCheckpointError, read_manifest
from ecotui.engine.records import Records, cut_metrics
from ecotui.engine.restoring import MisfitError, Restorable, from_memory, prepare
from ecotui.engine.rollback_budget import RollbackBudget
from ecotui.engine.saving import Saver
from ecotui.engine.soundness import Soundness
from ecotui.engine.train_state import LoopState
from ecotui.healing import RunRolledBack
from ecotui.paths import RunDir

Source = Literal["memory", "disk"]
_KEPT = (
    *("set_aside", "seconds", "told", "quarantined", "num_incidents"),
    *("num_rollbacks", "learning_rate_factor", "passed_over"),
    *("micro_batch_wanted", "steps_since_shrink", "num_growths"),
    *("best_value", "best_epoch", "best_checkpoint"),
)
"""What the loop still knows after it has gone back: of healing, of samples, and of the best model,
which was validated and lies on the disk. Forgetting its rollbacks it would go back for ever."""


_CAME_TO = {"to_step", "epoch", "source", "num_skipped_batches", "learning_rate_factor"}


class RolledBack(Exception):  # noqa: N818 - not a fault: training goes on from there
    """The state is an earlier one from here on; what is under way has to begin anew."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a fault lies.

    Attributes:
        first_step: Optimizer steps done before it began.
        num_batches: That may be to blame; passed over at least.
        passes_over: Whether batches are to blame at all.
    """

    first_step: int
    num_batches: int = 1
    passes_over: bool = True


class Rollback:
    """Goes back to an earlier state of one run.

    Args:
        parts: What is put back.
        run: Whose table of metrics is cut.
        saver: Commits the state that the run goes on from.
        copy: The copy of the state in host memory.
        loop: Becomes what it was then, all that healing knows excepted.
        emit: Where the facts go.
    """

    def __init__(
        self, parts: Parts, run: RunDir, saver: Saver, copy: HostCopy, loop: LoopState, emit: Emit
    ) -> None:
        self._parts = parts
        self._run = run
        self._saver = saver
        self._copy = copy
        self._loop = loop
        self._emit = emit
        self.soundness = Soundness(parts.trainable)
        limit = parts.config.guards.max_rollbacks
        self.records = Records(emit)
        self.budget = RollbackBudget(run.rollbacks, loop, limit, self.records)

    def go_back(self, verdict: Verdict, span: Span, *, counts: bool = True) -> bool:
        """Go back to a state from before a fault; no where there is none, and nothing is changed.

        Args:
            verdict: That led to it.
            span: Where the fault lies.
            counts: Whether it is one of the rollbacks that a run may have.

        Emits:
            CheckpointSaved, CheckpointDropped, RunRolledBack.
        """
        loop, from_step = self._loop, self._loop.step
        end = self._parts.place(loop.epoch, loop.batch_in_epoch) + 1
        self._saver.finish()
        number = self.budget.begin(verdict.guard, verdict.what) if counts else 0
        restored = self._restored(span)
        if restored is None:
            if counts:
                self.budget.withdraw()
            return False
        found, source = restored
        kept = {name: getattr(loop, name) for name in _KEPT}
        for entry in fields(LoopState):
            setattr(loop, entry.name, kept.get(entry.name, getattr(found, entry.name)))
        self._count(number)
        num_skipped = self._pass_over(span, end)
        self._parts.schedule.factor = loop.learning_rate_factor
        self._parts.schedule.set_step(self._parts.place(loop.epoch, loop.batch_in_epoch))
        metrics = self._run.metrics
        self.records.attempt(metrics, lambda: cut_metrics(metrics, loop.epoch))
        if self._saver.save(loop, "rollback") is not None:
            self._saver.void_later(loop.step)
        told = RunRolledBack(
            from_step=from_step,
            to_step=loop.step,
            epoch=loop.epoch,
            source=source,
            guard=verdict.guard,
            what=verdict.what,
            num_skipped_batches=num_skipped,
            learning_rate_factor=loop.learning_rate_factor,
            num_rollbacks=loop.num_rollbacks,
            rollbacks_left=self.budget.num_left,
        )
        if counts:
            self.budget.finish(**told.model_dump(include=_CAME_TO))
        self._emit(told)
        return True

    def _count(self, number: int) -> None:
        """Count a rollback, if it is one that counts: then its number is not 0."""
        loop = self._loop
        loop.num_rollbacks = max(loop.num_rollbacks, number)
        if number > 1:
            loop.learning_rate_factor *= self._parts.config.guards.rollback_learning_rate_factor

    def _pass_over(self, span: Span, end: int) -> int:
        """Leave out the batches up to a place, and return how many those are.

        All from the state on, at most a share of an epoch, but the whole of the fault.

        Source:
            PaLM (arXiv 2204.02311, section 5.1) skipped 200 to 500 batches after going back by
            about 100 steps, and the spikes did not come again; the same batches did no harm
            elsewhere, so it is the pairing of state and data that is avoided.
        """
        if not span.passes_over:
            return 0
        loop, config = self._loop, self._parts.config.guards
        share = config.max_passed_over_fraction * self._parts.train_loader.steps_per_epoch
        longest = max(span.num_batches, int(share))
        first = max(self._parts.place(loop.epoch, loop.batch_in_epoch), end - longest)
        loop.passed_over = [*loop.passed_over, [first, end]]
        return end - first

    def _restored(self, span: Span) -> tuple[LoopState, Source] | None:
        """Put back the best state from before a fault that is sound, and return its loop."""
        for candidate, source in self._candidates(span):
            found = candidate.apply(self._parts.trainable)
            if not self.soundness.broken():
                return found, source
        return None

    def _candidates(self, span: Span) -> Iterator[tuple[Restorable, Source]]:
        """Yield states from before a fault, the ones to be preferred first.

        Well before it, the newest of them; then those that are nearer to it, the oldest.
        """
        found: list[tuple[int, Source, Path]] = [
            (checkpoint.step_of(path), "disk", path)
            for path in checkpoint.list_steps(self._run.checkpoints)
        ]
        if self._copy.held is not None:
            found.append((self._copy.step, "memory", self._run.path))
        early = [each for each in found if each[0] <= span.first_step]
        # Of one step, memory before the disk, and the later one of two checkpoints.
        early.sort(key=lambda each: (each[0], each[1], each[2].name))
        far = span.first_step - self._parts.config.guards.rollback_steps
        nearer = [each for each in early if each[0] > far]
        for _, source, path in [*early[: len(early) - len(nearer)][::-1], *nearer]:
            restorable = self._read(source, path)
            if restorable is not None:
                yield restorable, source

    def _read(self, source: Source, path: Path) -> Restorable | None:
        if source == "memory":
            return None if self._copy.held is None else from_memory(self._copy.held)
        try:
            checkpoint.verify(path)
            return prepare(path, read_manifest(path), self._parts.trainable)
        except (BadCheckpointError, MisfitError, OSError):
            return None

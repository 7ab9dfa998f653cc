"""Layers 4 and 7 around an epoch: how much of it was lost, and what its validation says."""

from __future__ import annotations

import math

from ecotui.engine.assembly import Parts
from ecotui.engine.data.loader import Batch
from ecotui.engine.emit import Emit
from ecotui.engine.evaluate import Evaluation
from ecotui.engine.guards import batch as batch_guard
from ecotui.engine.guards import epoch as epoch_guard
from ecotui.engine.guards import learning as learning_guard
from ecotui.engine.guards.guard import EpochCounts, EpochReading, Verdict
from ecotui.engine.incidents import Incidents
from ecotui.engine.recovery import Recovery
from ecotui.engine.rollback import Span
from ecotui.engine.train_state import LoopState
from ecotui.events import CheckReported
from ecotui.guard_settings import GuardConfig
from ecotui.text import number, percent, visible

MAX_KEPT_EPOCHS = 32
"""Losses of so many epochs are kept for the judgement of trends."""

_ONCE = (learning_guard.PLATEAU, learning_guard.AT_CHANCE, learning_guard.RATE_LOW)
"""Findings that last: told when they begin."""


class EpochProtection:
    """Stands between an epoch and the next.

    Args:
        parts: Everything built.
        loop: Its counts are kept up here.
        recovery: Acts on verdicts.
        incidents: Writes down what cannot be undone by skipping.
        emit: Where the facts go.
    """

    def __init__(
        self, parts: Parts, loop: LoopState, recovery: Recovery, incidents: Incidents, emit: Emit
    ) -> None:
        self._parts = parts
        self._loop = loop
        self._recovery = recovery
        self._incidents = incidents
        self._emit = emit
        self._warned_epoch = -1

    def begin(self) -> None:
        """Forget figures that the coming epoch cannot be compared with."""
        if self._loop.epoch == self._parts.config.train.freeze_epochs:
            self._loop.recent_norms = []  # of the classifier alone until now

    def count(self, batch: Batch, *, is_used: bool) -> None:
        """Count what a batch gave and lost."""
        loop = self._loop
        loop.num_batches += 1
        loop.num_samples += batch.num_keys
        loop.num_lost_samples += len(batch.failures)
        loop.num_skipped_batches += 0 if is_used else 1

    def judge_counts(self, *, is_whole: bool) -> None:
        """Judge how much of the epoch was lost; warns once an epoch.

        Raises:
            EcoError: Too much.
        """
        if not (self._loop.num_lost_samples or self._loop.num_skipped_batches):
            return
        verdict = batch_guard.inspect_counts(self._counts(is_whole=is_whole), self._config)
        if verdict is None:
            return
        is_silenced = verdict.guard in self._config.silenced
        if verdict.action == "none" or is_silenced:
            if self._warned_epoch == self._loop.epoch:
                return
            self._warned_epoch = self._loop.epoch
        self._recovery.act(verdict)

    def judge_validation(self, evaluation: Evaluation) -> None:
        """Judge a validation before anything is kept because of it.

        Raises:
            EcoError, RolledBack: The model is broken.

        Emits:
            GuardTripped, IncidentRecorded.
        """
        verdict = epoch_guard.inspect_validation(evaluation.loss)
        if verdict is None:
            return
        self._incidents.record(verdict, self._loop.step, "model", verdict.what)
        self._recovery.act(verdict, span=Span(self._loop.sound_step, passes_over=False))

    def judge_epoch(self, train_loss: float | None, evaluation: Evaluation) -> None:
        """Judge an epoch with its validation.

        Emits:
            GuardTripped; CheckReported where the first epoch is a success.
        """
        loop = self._loop
        for losses, value in ((loop.train_losses, train_loss), (loop.val_losses, evaluation.loss)):
            losses.append(value if value is not None and math.isfinite(value) else math.inf)
            del losses[:-MAX_KEPT_EPOCHS]
        reading = self._reading(evaluation)
        verdicts = epoch_guard.inspect_epoch(reading, self._config)
        if reading.epoch == 1 and not verdicts:
            self._emit(_first_epoch_success(reading))
        for verdict in verdicts:
            self._recovery.act(verdict)
        self._judge_learning(reading)
        patience, waited = self._parts.config.train.early_stopping_epochs, loop.epoch + 1
        if epoch_guard.EARLY_STOPPING in self._config.silenced and (
            waited - loop.best_epoch == patience
        ):
            what = "the guard is silenced, so training goes on"
            self._recovery.act(self._early_stop(patience, what))

    def wants_early_stop(self) -> bool:
        """Say whether nothing has got better for so long that training is to end."""
        patience = self._parts.config.train.early_stopping_epochs
        is_silenced = epoch_guard.EARLY_STOPPING in self._config.silenced
        waited = self._loop.epoch - self._loop.best_epoch
        return patience is not None and waited >= patience and not is_silenced

    def tell_early_stop(self) -> None:
        """State that training ends early.

        Emits:
            GuardTripped.
        """
        waited = self._loop.epoch - self._loop.best_epoch
        self._recovery.act(self._early_stop(waited, "training ends early"))

    def _judge_learning(self, reading: EpochReading) -> None:
        verdicts = {
            verdict.guard: verdict
            for verdict in learning_guard.inspect_learning(reading, self._config)
        }
        for guard in _ONCE:
            self._recovery.tell_once(guard, verdicts.pop(guard, None))
        for verdict in verdicts.values():
            # Told again where it is about other classes, or another figure.
            mark = f"{verdict.guard}:{','.join(reading.unpredicted)}"
            if verdict.guard != learning_guard.UNPREDICTED or mark not in self._loop.told:
                self._recovery.act(verdict)
            if verdict.guard == learning_guard.UNPREDICTED:
                kept = [each for each in self._loop.told if not each.startswith(verdict.guard)]
                self._loop.told = [*kept, mark]

    def _reading(self, evaluation: Evaluation) -> EpochReading:
        loop, train = self._loop, self._parts.config.train
        names = self._parts.index.class_names
        return EpochReading(
            epoch=loop.epoch + 1,
            num_classes=self._parts.num_classes,
            first_loss=loop.first_loss,
            train_losses=tuple(loop.train_losses),
            val_losses=tuple(loop.val_losses),
            accuracy=evaluation.accuracy,
            lost_fraction=self._counts(is_whole=True).lost_fraction,
            macro_f1=evaluation.macro_f1,
            unpredicted=tuple(visible(names[label]) for label in evaluation.unpredicted()),
            warmup_epochs=train.warmup_epochs,
        )

    def _early_stop(self, waited: int, what: str) -> Verdict:
        train = self._parts.config.train
        metric = train.metric.replace("_", " ")
        return epoch_guard.early_stop(waited, train.early_stopping_epochs or waited, metric, what)

    def _counts(self, *, is_whole: bool) -> EpochCounts:
        loop = self._loop
        return EpochCounts(
            num_batches=loop.num_batches,
            num_skipped_batches=loop.num_skipped_batches,
            num_samples=loop.num_samples,
            num_lost_samples=loop.num_lost_samples,
            is_whole=is_whole,
        )

    @property
    def _config(self) -> GuardConfig:
        return self._parts.config.guards


def _first_epoch_success(reading: EpochReading) -> CheckReported:
    loss = f"the loss fell from {number(reading.first_loss)} to {number(reading.train_losses[-1])}"
    return CheckReported(
        check="first_epoch",
        layer=7,
        verdict="pass",
        what=f"first epoch completed: {loss}, accuracy {percent(reading.accuracy)}, "
        f"{percent(reading.lost_fraction, 1)} of the samples lost",
        expected="",
        remedy="",
    )

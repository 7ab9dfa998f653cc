"""Layers 4 to 7 in the training loop: measures, asks the guards, and lets recovery act."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence

from ecotui.engine.assembly import Parts
from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.data.loader import Batch
from ecotui.engine.emit import Emit
from ecotui.engine.evaluate import Evaluation
from ecotui.engine.guards import batch as batch_guard
from ecotui.engine.guards import epoch as epoch_guard
from ecotui.engine.guards import gradient as gradient_guard
from ecotui.engine.guards import loss as loss_guard
from ecotui.engine.guards.guard import EpochCounts, EpochReading, StepReading, Verdict
from ecotui.engine.guards.known import silenced
from ecotui.engine.meter import Meter
from ecotui.engine.recovery import Recovery
from ecotui.engine.step import Gradients, Stepper
from ecotui.engine.train_state import LoopState
from ecotui.errors import ExitCode
from ecotui.events import CheckReported
from ecotui.guard_settings import GuardConfig
from ecotui.text import number, percent, visible

MAX_KEPT_EPOCHS = 32
"""Losses of so many epochs are kept for the judgement of trends."""


class Protection:
    """Stands between a batch and the weights, and between an epoch and the next.

    Args:
        parts: Everything built.
        loop: Its counts are kept up here.
        emit: Where the facts go.
    """

    def __init__(self, parts: Parts, loop: LoopState, emit: Emit) -> None:
        self._parts = parts
        self._loop = loop
        self._emit = emit
        self._warned_epoch = -1
        self.stepper = Stepper(parts)
        self.recovery = Recovery(parts.trainable.network, loop, emit)

    def try_gradients(self, batch: Batch, meter: Meter) -> Gradients | None:
        """Compute a batch's gradients, or skip it where it fails or they are not sound.

        Returns:
            What was measured, or None where the batch was skipped and every
            trace of it removed.

        Raises:
            EcoError: A guard gave up.

        Emits:
            GuardTripped.
        """
        self.recovery.remember()
        failure: Exception | None = None
        gradients: Gradients | None = None
        try:
            gradients = self.stepper.compute_gradients(batch, self._loop.step, meter)
        # ValueError: BatchNorm's, where all but one image of a batch could not be read.
        except (RuntimeError, AssertionError, ValueError, MemoryError) as error:
            failure = error
        # Outside the except block, which would keep the failed step's memory alive.
        verdict = self._judge_failure(failure) if failure else self._judge_step(gradients)
        if verdict is None:
            return gradients
        self.stepper.abandon()
        self.recovery.put_back()
        meter.discard_step()
        code = ExitCode.HEALTH
        if failure is not None and is_out_of_memory(failure):
            code = ExitCode.OUT_OF_MEMORY
        names = self._parts.index.names
        self._act(verdict, [visible(names[i]) for i in batch.sample_ids], code)
        return None

    def count(self, batch: Batch, *, is_used: bool) -> None:
        """Count what a batch gave and lost."""
        loop, taken = self._loop, len(batch.sample_ids) + len(batch.failures)
        loop.num_batches += 1
        loop.num_samples += taken
        loop.num_lost_samples += len(batch.failures) if is_used else taken
        loop.num_skipped_batches += 0 if is_used else 1

    def judge_counts(self, *, is_whole: bool) -> None:
        """Judge how much of the epoch was lost; warns once an epoch.

        Raises:
            EcoError: Too much.
        """
        verdict = batch_guard.inspect_counts(self._counts(is_whole=is_whole), self._config)
        if verdict is None:
            return
        if silenced(verdict, self._config.silenced).action == "none":
            if self._warned_epoch == self._loop.epoch:
                return
            self._warned_epoch = self._loop.epoch
        self._act(verdict)

    def judge_epoch(self, train_loss: float | None, evaluation: Evaluation) -> None:
        """Judge an epoch with its validation.

        Raises:
            EcoError: The model is broken.

        Emits:
            GuardTripped; CheckReported where the first epoch is a success.
        """
        loop = self._loop
        for losses, value in ((loop.train_losses, train_loss), (loop.val_losses, evaluation.loss)):
            losses.append(value if value is not None and math.isfinite(value) else math.inf)
            del losses[:-MAX_KEPT_EPOCHS]
        reading = EpochReading(
            epoch=loop.epoch + 1,
            num_classes=self._parts.num_classes,
            first_loss=loop.first_loss,
            train_losses=tuple(loop.train_losses),
            val_losses=tuple(loop.val_losses),
            accuracy=evaluation.accuracy,
            lost_fraction=self._counts(is_whole=True).lost_fraction,
        )
        verdicts = epoch_guard.inspect_epoch(reading, self._config)
        if reading.epoch == 1 and not verdicts:
            self._emit(_first_epoch_success(reading))
        for verdict in verdicts:
            self._act(verdict)
        patience, waited = self._parts.config.train.early_stopping_epochs, loop.epoch + 1
        if epoch_guard.EARLY_STOPPING in self._config.silenced and (
            waited - loop.best_epoch == patience
        ):
            self._act(self._early_stop(patience, "the guard is silenced, so training goes on"))

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
        self._act(self._early_stop(waited, "training ends early"))

    def _early_stop(self, waited: int, what: str) -> Verdict:
        train = self._parts.config.train
        metric = train.metric.replace("_", " ")
        return epoch_guard.early_stop(waited, train.early_stopping_epochs or waited, metric, what)

    @property
    def _config(self) -> GuardConfig:
        return self._parts.config.guards

    def _act(
        self, verdict: Verdict, files: Sequence[str] = (), code: ExitCode = ExitCode.HEALTH
    ) -> None:
        self.recovery.act(silenced(verdict, self._config.silenced), files, code)

    def _judge_failure(self, failure: Exception) -> Verdict:
        traceback.print_exception(failure)
        self._loop.num_errors_in_a_row += 1
        said = visible(f"{type(failure).__name__}: {failure}", limit=200)
        return batch_guard.inspect_error(
            said,
            self._loop.num_errors_in_a_row,
            self._config,
            is_out_of_memory=is_out_of_memory(failure),
        )

    def _judge_step(self, gradients: Gradients | None) -> Verdict | None:
        assert gradients is not None  # noqa: S101 - without a failure there are gradients
        reading = StepReading(
            loss=gradients.loss,
            gradient_norm=gradients.norm,
            num_bad_in_a_row=self._loop.num_bad_in_a_row,
            is_scaled=self._parts.compute.precision == "fp16",
        )
        verdict = loss_guard.inspect_step(reading, self._config) or gradient_guard.inspect_step(
            reading, self._config
        )
        if verdict is not None:
            self._loop.num_bad_in_a_row += 1
        return verdict

    def _counts(self, *, is_whole: bool) -> EpochCounts:
        loop = self._loop
        return EpochCounts(
            num_batches=loop.num_batches,
            num_skipped_batches=loop.num_skipped_batches,
            num_samples=loop.num_samples,
            num_lost_samples=loop.num_lost_samples,
            is_whole=is_whole,
        )


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

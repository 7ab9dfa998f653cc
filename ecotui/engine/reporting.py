"""What a training run tells of itself: events of steps and epochs, and the files beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from ecotui.engine.assembly import Parts
from ecotui.engine.data.loader import Failure
from ecotui.engine.data.supervision import Rebuilt
from ecotui.engine.emit import OLD_INTERVAL_SECONDS, Emit, Throttle
from ecotui.engine.evaluate import Evaluation, as_json, shown_classes
from ecotui.engine.meter import Meter
from ecotui.engine.optim import learning_rate
from ecotui.engine.records import Records
from ecotui.engine.soundness import weights_digest
from ecotui.engine.train_state import LoopState
from ecotui.events import (
    EpochFinished,
    EpochStarted,
    LoaderRebuilt,
    SampleSetAside,
    SplitName,
    StepsTaken,
    ValidationFinished,
)
from ecotui.paths import RunDir
from ecotui.text import visible


class Reporter:
    """States what happened, and keeps the sums of the epoch in the loop's state.

    Args:
        parts: Everything built.
        run: Where figures and lists are written.
        loop: Its sums are kept up here.
        emit: Where the facts go.
    """

    def __init__(self, parts: Parts, run: RunDir, loop: LoopState, emit: Emit) -> None:
        self._parts = parts
        self._run = run
        self._loop = loop
        self._emit = emit
        self._records = Records(emit)
        self._throttle = Throttle(old_interval_seconds=OLD_INTERVAL_SECONDS)
        self._epoch_started = time.monotonic()
        self._epoch_images = 0
        self.meter = Meter()

    def begin_epoch(self) -> None:
        """State that an epoch begins, or goes on after a resumption.

        Emits:
            EpochStarted.
        """
        self._emit(
            EpochStarted(
                epoch=self._loop.epoch + 1,
                epochs=self._parts.config.train.epochs,
                steps=self._parts.train_loader.steps_per_epoch,
                step=self._loop.step,
            )
        )
        self._epoch_started = time.monotonic()
        self._epoch_images = 0
        self.meter = Meter()

    def tell_rebuilt(self, rebuilt: Rebuilt) -> None:
        """State that a loader was started anew.

        Emits:
            LoaderRebuilt.
        """
        self._emit(
            LoaderRebuilt(
                step=self._loop.step,
                what=rebuilt.what,
                workers_before=rebuilt.workers_before,
                workers=rebuilt.workers,
                rebuilds_left=rebuilt.rebuilds_left,
            )
        )

    def is_due(self) -> bool:
        """Say whether there are steps that may be stated: twice a second, more rarely with age."""
        return self.meter.has_steps and self._throttle.is_due()

    def state_steps(self) -> None:
        """State the steps since the last time.

        Emits:
            StepsTaken, where any step was done since the last time.
        """
        reading, loop = self.meter.drain(), self._loop
        loop.loss_sum += reading.loss_sum
        loop.hits += reading.hits
        loop.num_images += reading.num_images
        loop.num_labelled += reading.num_labelled
        self._epoch_images += reading.num_images
        if not reading.num_steps:
            return
        if loop.first_loss is None:
            loop.first_loss = reading.loss_sum / reading.num_images
        self._emit(
            StepsTaken(
                epoch=loop.epoch + 1,
                step=loop.step,
                step_in_epoch=loop.batch_in_epoch,
                num_steps=reading.num_steps,
                loss=reading.loss_sum / reading.num_images,
                accuracy=reading.accuracy,
                gradient_norm=reading.gradient_norm,
                learning_rate=learning_rate(self._parts.trainable.optimizer),
                images_per_second=reading.images_per_second,
                loader_wait_fraction=reading.wait_fraction,
            )
        )

    def set_aside(
        self, failures: Sequence[Failure], split: SplitName, *, is_kept_out: bool = False
    ) -> None:
        """Name each file that could not be used, once in a run.

        Args:
            failures: The samples and why.
            split: That they are of.
            is_kept_out: Whether they are used no more even if they can be read again.

        Emits:
            SampleSetAside.
        """
        step = self._loop.step
        for failure in failures:
            if failure.sample_id in self._loop.set_aside:
                continue
            self._loop.set_aside.append(failure.sample_id)
            path = visible(self._parts.index.names[failure.sample_id])
            reason = visible(failure.reason)
            record = {"path": path, "reason": reason, "split": split, "step": step}
            record |= {"kept_out": True} if is_kept_out else {}
            self._records.append(self._run.quarantine, json.dumps(record))
            self._emit(SampleSetAside(path=path, reason=reason, split=split, step=step))

    def report(self, evaluation: Evaluation, split: SplitName, seconds: float) -> None:
        """Write down an evaluation, and state it.

        Emits:
            ValidationFinished.
        """
        loop, is_val = self._loop, split == "val"
        epoch = loop.epoch + 1 if is_val else loop.best_epoch
        path = self._run.evaluations / (f"epoch-{epoch:06d}.json" if is_val else f"{split}.json")
        class_names = self._parts.index.class_names
        name_of = self._parts.index.names.__getitem__
        self._records.write(path, as_json(evaluation, class_names, name_of))
        self._emit(
            ValidationFinished(
                split=split,
                epoch=epoch,
                step=loop.step,
                num_images=evaluation.num_images,
                loss=evaluation.loss,
                accuracy=evaluation.accuracy,
                accuracy_top5=evaluation.accuracy_top5,
                macro_f1=evaluation.macro_f1,
                per_class=shown_classes(evaluation.class_scores(class_names)),
                num_classes=self._parts.num_classes,
                file=str(path.relative_to(self._run.path)),
                seconds=seconds,
            )
        )

    def sum_up_epoch(self, evaluation: Evaluation) -> EpochFinished:
        """Write the epoch's row of `metrics.csv`, and return what is to be stated of it."""
        loop, seconds = self._loop, time.monotonic() - self._epoch_started
        self._throttle.note_epoch(seconds)
        finished = EpochFinished(
            epoch=loop.epoch + 1,
            step=loop.step,
            train_loss=loop.loss_sum / loop.num_images if loop.num_images else None,
            train_accuracy=loop.hits / loop.num_labelled if loop.num_labelled else None,
            seconds=seconds,
            images_per_second=self._epoch_images / seconds if seconds > 0 else None,
            learning_rate=learning_rate(self._parts.trainable.optimizer),
            num_set_aside=len(loop.set_aside),
            weights_digest=weights_digest(self._parts.trainable.network),
            lost_fraction=loop.num_lost_samples / loop.num_samples if loop.num_samples else 0.0,
        )
        self._write_metrics(finished, evaluation)
        return finished

    def _write_metrics(self, finished: EpochFinished, evaluation: Evaluation) -> None:
        row = {
            "epoch": finished.epoch,
            "step": finished.step,
            "train_loss": finished.train_loss,
            "train_accuracy": finished.train_accuracy,
            "val_loss": evaluation.loss,
            "val_accuracy": evaluation.accuracy,
            "val_accuracy_top5": evaluation.accuracy_top5,
            "val_macro_f1": evaluation.macro_f1,
            "learning_rate": finished.learning_rate,
            "seconds": finished.seconds,
        }
        self._records.append_row(self._run.metrics, row)

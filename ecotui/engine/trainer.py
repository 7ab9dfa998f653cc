"""The training loop, readable from top to bottom."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from typing import Literal

from ecotui.engine.assembly import Parts
from ecotui.engine.control import Control
from ecotui.engine.data.loader import Batch, EvalLoader
from ecotui.engine.emit import Emit, Throttle, span
from ecotui.engine.evaluate import Evaluation, evaluate, shown_classes, write_evaluation
from ecotui.engine.meter import Meter
from ecotui.engine.model import split_head
from ecotui.engine.optim import learning_rate
from ecotui.engine.protection import Protection
from ecotui.engine.restoring import load_weights
from ecotui.engine.saving import Saver, is_better
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, ExitCode
from ecotui.events import (
    EpochFinished,
    EpochStarted,
    SampleSetAside,
    SplitName,
    StepsTaken,
    ValidationFinished,
)
from ecotui.paths import RunDir
from ecotui.text import visible

Why = Literal["epochs", "early_stopping", "max_steps"]


class Trainer:
    """Trains, validates and saves until the run has an end.

    Args:
        parts: Everything built.
        run: Where results are written.
        saver: Commits checkpoints.
        loop: Where the loop stands: fresh, or restored.
        control: Looked at before every batch; raises `StopRequested`.
        emit: Where the facts go.
    """

    def __init__(
        self,
        parts: Parts,
        run: RunDir,
        saver: Saver,
        loop: LoopState,
        control: Control,
        emit: Emit,
    ) -> None:
        self.parts, self.run, self.saver = parts, run, saver
        self.loop, self.control, self.emit = loop, control, emit
        self.protection = Protection(parts, loop, emit)
        self._throttle = Throttle()
        self._started = time.monotonic()

    def train(self) -> Why:
        """Run epochs until all are done, nothing gets better, or the step limit is reached."""
        with span(self.emit, "train", total=self.parts.planned_steps, unit="steps") as stage:
            stage.done = self.loop.step
            while (why := self._ending()) is None:
                self._train_epoch()
                evaluation = self._validate()
                self._keep_if_best(evaluation)
                self._finish_epoch(evaluation)
                stage.done = self.loop.step
            self.saver.attend(self._poll)
            if why == "early_stopping":
                self.protection.tell_early_stop()
        return why

    def test(self) -> None:
        """Score the test split once, with the best weights."""
        best, loader = self.saver.best_path(self.loop), self.parts.test_loader
        if loader is None or best is None:
            return
        load_weights(best, self.parts.judged)
        evaluation, seconds = self._evaluate(loader, "test")
        self._report(evaluation, "test", "test.json", seconds)

    def _train_epoch(self) -> None:
        parts, loop = self.parts, self.loop
        self._set_mode()
        meter = Meter(parts.compute.device)
        self.emit(
            EpochStarted(
                epoch=loop.epoch + 1,
                epochs=parts.config.train.epochs,
                steps=parts.train_loader.steps_per_epoch,
                step=loop.step,
            )
        )
        self._epoch_started = time.monotonic()
        self._epoch_images = 0
        for batch in self._timed(parts.train_loader.epoch(loop.epoch, loop.batch_in_epoch), meter):
            self._set_aside(batch, "train")
            self._use(batch, meter)
            loop.batch_in_epoch += 1
            if self._throttle.is_due():
                self._state_steps(meter)
            self.protection.judge_counts(is_whole=False)
            self._save_if_due(meter)
            if self._limit_is_reached():
                break
        self._state_steps(meter)
        self.protection.judge_counts(is_whole=True)

    def _use(self, batch: Batch, meter: Meter) -> None:
        """Take an optimizer step with a batch, or skip it: no batch ends the run by itself."""
        parts, loop = self.parts, self.loop
        num_images = batch.labels_B.numel()
        is_used = False
        if num_images:
            gradients = self.protection.try_gradients(batch, meter)
            loop.step += 1
            if gradients is not None:
                self.protection.stepper.update(loop.step)
                meter.finish_step(gradients.norm, num_images, is_mixed=parts.mixer is not None)
                self.protection.recovery.note_good_step()
                is_used = True
            parts.schedule.set_step(loop.step)
        self.protection.count(batch, is_used=is_used)

    def _timed(self, batches: Iterator[Batch], meter: Meter) -> Iterator[Batch]:
        """Pass batches on, measuring the wait for each, and looking at requests first."""
        while True:
            self.saver.attend(self._poll)
            self._poll()
            asked = time.monotonic()
            batch = next(batches, None)
            meter.waited_seconds += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def _poll(self) -> None:
        self.control.poll(self.loop.step)

    def _validate(self) -> Evaluation:
        loader = self.parts.val_loader
        evaluation, seconds = self._evaluate(loader, "val")
        self._report(evaluation, "val", f"epoch-{self.loop.epoch + 1:06d}.json", seconds)
        return evaluation

    def _evaluate(self, loader: EvalLoader, split: SplitName) -> tuple[Evaluation, float]:
        started = time.monotonic()
        stage_name = "validate" if split == "val" else split
        with span(self.emit, stage_name, total=loader.num_images, unit="images") as stage:

            def on_batch(batch: Batch) -> None:
                self._set_aside(batch, split)
                stage.advance(len(batch.sample_ids) + len(batch.failures))
                self.control.poll(self.loop.step)

            evaluation = evaluate(
                self.parts.judged, loader, self.parts.compute, self.parts.num_classes, on_batch
            )
        if evaluation.num_images == 0:
            raise EcoError(
                f"no image of the {split} split could be read",
                "photos that can be decoded",
                f"see {visible(self.run.quarantine)} for each file and why",
                ExitCode.PREFLIGHT,
            )
        return evaluation, time.monotonic() - started

    def _report(
        self, evaluation: Evaluation, split: SplitName, file_name: str, seconds: float
    ) -> None:
        path = self.run.evaluations / file_name
        write_evaluation(path, evaluation, self.parts.index.class_names)
        scores = evaluation.class_scores(self.parts.index.class_names)
        self.emit(
            ValidationFinished(
                split=split,
                epoch=self.loop.epoch + 1 if split == "val" else self.loop.best_epoch,
                step=self.loop.step,
                num_images=evaluation.num_images,
                loss=evaluation.loss,
                accuracy=evaluation.accuracy,
                accuracy_top5=evaluation.accuracy_top5,
                macro_f1=evaluation.macro_f1,
                per_class=shown_classes(scores),
                num_classes=self.parts.num_classes,
                file=str(path.relative_to(self.run.path)),
                seconds=seconds,
            )
        )

    def _keep_if_best(self, evaluation: Evaluation) -> None:
        metric = self.parts.config.train.metric
        if is_better(evaluation.metric(metric), self.loop.best_value, metric):
            self.saver.save_best(
                self.parts.judged,
                self.parts.built.spec,
                self.parts.index.class_names,
                metric,
                evaluation,
                self.loop,
            )

    def _finish_epoch(self, evaluation: Evaluation) -> None:
        loop, seconds = self.loop, time.monotonic() - self._epoch_started
        finished = EpochFinished(
            epoch=loop.epoch + 1,
            step=loop.step,
            train_loss=loop.loss_sum / loop.num_images if loop.num_images else None,
            train_accuracy=loop.hits / loop.num_labelled if loop.num_labelled else None,
            seconds=seconds,
            images_per_second=self._epoch_images / seconds if seconds > 0 else None,
            learning_rate=learning_rate(self.parts.trainable.optimizer),
            num_set_aside=len(loop.set_aside),
        )
        self._write_metrics(finished, evaluation)
        self.protection.judge_epoch(finished.train_loss, evaluation)
        loop.epoch += 1
        loop.begin_epoch()
        self.emit(finished)
        self.saver.save(loop, "epoch" if self._ending() is None else "end")

    def _ending(self) -> Why | None:
        train, loop = self.parts.config.train, self.loop
        if self._limit_is_reached():
            return "max_steps"
        if loop.epoch >= train.epochs:
            return "epochs"
        patience = train.early_stopping_epochs
        if patience is not None and loop.epoch - loop.best_epoch >= patience:
            return "early_stopping"
        return None

    def _limit_is_reached(self) -> bool:
        limit = self.parts.config.train.max_steps
        return limit is not None and self.loop.step >= limit

    def _set_mode(self) -> None:
        """Put the network into training mode, its backbone frozen in the first epochs."""
        network, config = self.parts.trainable.network, self.parts.config.train
        network.train()
        if not config.freeze_epochs:
            return
        is_frozen = self.loop.epoch < config.freeze_epochs
        backbone, modules = split_head(network)
        for parameter in backbone:
            parameter.requires_grad_(not is_frozen)
        if is_frozen:
            for module in modules:
                # Only the leaves: the mode of a container is that of its children too.
                if next(module.children(), None) is None:
                    module.eval()

    def _save_if_due(self, meter: Meter) -> None:
        is_asked = self.control.take_save_request()
        if is_asked or self.saver.is_due():
            self._state_steps(meter)
            self.saver.save(self.loop, "request" if is_asked else "interval")

    def _state_steps(self, meter: Meter) -> None:
        """Read the sums from the device: the one place where the host waits for it."""
        reading = meter.drain()
        loop = self.loop
        loop.loss_sum += reading.loss_sum
        loop.hits += reading.hits
        loop.num_images += reading.num_images
        loop.num_labelled += reading.num_labelled
        self._epoch_images += reading.num_images
        if reading.num_steps:
            if loop.first_loss is None:
                loop.first_loss = reading.loss_sum / reading.num_images
            self.emit(
                StepsTaken(
                    epoch=loop.epoch + 1,
                    step=loop.step,
                    step_in_epoch=loop.batch_in_epoch,
                    num_steps=reading.num_steps,
                    loss=reading.loss_sum / reading.num_images,
                    accuracy=reading.accuracy,
                    gradient_norm=reading.gradient_norm,
                    learning_rate=learning_rate(self.parts.trainable.optimizer),
                    images_per_second=reading.images_per_second,
                    loader_wait_fraction=reading.wait_fraction,
                )
            )

    def _set_aside(self, batch: Batch, split: SplitName) -> None:
        """Name each file that could not be used, once in a run."""
        for failure in batch.failures:
            if failure.sample_id in self.loop.set_aside:
                continue
            self.loop.set_aside.append(failure.sample_id)
            path = visible(self.parts.index.names[failure.sample_id])
            reason = visible(failure.reason)
            with self.run.quarantine.open("a", encoding="utf-8") as file:
                record = {"path": path, "reason": reason, "split": split, "step": self.loop.step}
                file.write(json.dumps(record) + "\n")
            self.emit(SampleSetAside(path=path, reason=reason, split=split, step=self.loop.step))

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
        is_new = not self.run.metrics.exists()
        with self.run.metrics.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    @property
    def seconds(self) -> float:
        """Trained so far, earlier attempts included."""
        return self.loop.seconds + time.monotonic() - self._started

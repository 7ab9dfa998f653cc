"""The training loop, readable from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from ecotui.engine.assembly import Parts
from ecotui.engine.changes import Changes
from ecotui.engine.control import Control
from ecotui.engine.data.loader import Batch, EvalLoader
from ecotui.engine.emit import Emit, span
from ecotui.engine.evaluate import Evaluation, Room, evaluate
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.model import split_head
from ecotui.engine.protection import Protection, Surroundings
from ecotui.engine.reporting import Reporter
from ecotui.engine.restoring import load_weights
from ecotui.engine.rollback import RolledBack
from ecotui.engine.saving import Reason, Saver, is_better
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, ExitCode
from ecotui.events import SplitName
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
        copy: The copy of the state in host memory, which the saver has too.
        changes: Writes down settings that change; None where nothing is written down.
    """

    def __init__(  # noqa: PLR0913
        self,
        parts: Parts,
        run: RunDir,
        saver: Saver,
        loop: LoopState,
        control: Control,
        emit: Emit,
        *,
        copy: HostCopy,
        changes: Changes | None = None,
    ) -> None:
        self.parts, self.run, self.saver = parts, run, saver
        self.loop, self.control, self.emit = loop, control, emit
        self._reporter = Reporter(parts, run, loop, emit)
        around = Surroundings(run, saver, copy, changes, self._reporter)
        self.protection = Protection(parts, loop, around, emit)
        self._earlier_seconds, self._started = loop.seconds, time.monotonic()
        parts.supervision.attend = lambda: control.poll(loop.step, is_waiting=True)
        parts.supervision.tell = self._reporter.tell_rebuilt

    def train(self) -> Why:
        """Run epochs until all are done, nothing gets better, or the step limit is reached."""
        with span(self.emit, "train", total=self.parts.planned_steps, unit="steps") as stage:
            stage.done = self.loop.step
            self.protection.begin()
            while (why := self._ending()) is None:
                try:
                    self._train_epoch()
                    evaluation = self._validate()
                    self._keep_if_best(evaluation)
                    self._finish_epoch(evaluation)
                except RolledBack:
                    self.protection.steps.begin_anew()
                stage.done = self.loop.step
            self.saver.attend(self._look)
            if why == "early_stopping":
                self.protection.epochs.tell_early_stop()
        return why

    def test(self) -> None:
        """Score the test split once, with the best weights."""
        best, loader = self.saver.best_path(self.loop), self.parts.test_loader
        if loader is None or best is None:
            return
        load_weights(best, self.parts.judged)
        evaluation, seconds = self._evaluate(loader, "test")
        self._reporter.report(evaluation, "test", seconds)

    def save(self, reason: Reason) -> str | None:
        """Save the state of this moment, and return the path where it is committed already."""
        self.protection.steps.settle(self._reporter.meter)
        self._reporter.state_steps()
        self.loop.seconds = self.seconds
        return self.saver.save(self.loop, reason)

    @property
    def seconds(self) -> float:
        """Trained so far, earlier attempts included."""
        return self._earlier_seconds + time.monotonic() - self._started

    def _train_epoch(self) -> None:
        self._set_mode()
        self._reporter.begin_epoch()
        self.protection.epochs.begin()
        for batch in self._batches():
            self._reporter.set_aside(batch.failures, "train")
            self._use(batch)
            self._state_steps_if_due()
            self.protection.epochs.judge_counts(is_whole=False)
            self.protection.note_step()
            self._save_if_due()
            if self._limit_is_reached():
                break
        self.protection.steps.settle(self._reporter.meter)
        self._reporter.state_steps()
        self.protection.epochs.judge_counts(is_whole=True)
        self.protection.judge_state()

    def _use(self, batch: Batch) -> None:
        """Take an optimizer step with a batch, or skip it: no batch ends the run by itself."""
        parts, loop = self.parts, self.loop
        is_used = False
        if batch.labels_B.numel():
            is_used = self.protection.steps.take(batch, self._reporter.meter)
            loop.step += 1
        loop.batch_in_epoch += 1
        parts.schedule.set_step(parts.place(loop.epoch, loop.batch_in_epoch))
        self.protection.epochs.count(batch, is_used=is_used)

    def _state_steps_if_due(self) -> None:
        # Steps that are still under way are stated the next time: to ask for them now would
        # empty the accelerator's queue, and let a guard's word depend on the clock.
        if self._reporter.is_due():
            self._reporter.state_steps()

    def _batches(self) -> Iterator[Batch]:
        """Pass on what is left of the epoch, without the batches that are to be passed over."""
        loop, loader = self.loop, self.parts.train_loader
        while self.protection.goes_on():
            for batch in self._timed(loader.epoch(loop.epoch, loop.batch_in_epoch)):
                yield batch
                if self.protection.has_to_read_anew():
                    break

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, measuring the wait for each, and looking at requests first."""
        while True:
            self._look()
            self.saver.attend(self._look)
            asked = time.monotonic()
            batch = next(batches, None)
            self._reporter.meter.waited_seconds += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def _look(self) -> None:
        self.control.poll(self.loop.step)

    def _validate(self) -> Evaluation:
        evaluation, seconds = self._evaluate(self.parts.val_loader, "val")
        self._reporter.report(evaluation, "val", seconds)
        self.protection.epochs.judge_validation(evaluation)
        return evaluation

    def _evaluate(self, loader: EvalLoader, split: SplitName) -> tuple[Evaluation, float]:
        started = time.monotonic()
        stage_name = "validate" if split == "val" else split
        with span(self.emit, stage_name, total=loader.num_images, unit="images") as stage:

            def on_batch(batch: Batch) -> None:
                self._reporter.set_aside(batch.failures, split)
                stage.advance(len(batch.sample_ids) + len(batch.failures))
                self._look()

            self._look()
            room = Room(
                self.protection.relief.evaluation_size,
                lambda size: self.protection.answer_evaluation(split, size),
            )
            parts = self.parts
            evaluation = evaluate(
                parts.judged, loader, parts.compute, parts.num_classes, on_batch, room
            )
        if evaluation.num_images == 0:
            raise EcoError(
                f"no image of the {split} split could be read",
                "photos that can be decoded",
                f"see {visible(self.run.quarantine)} for each file and why",
                ExitCode.PREFLIGHT,
            )
        return evaluation, time.monotonic() - started

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
        loop = self.loop
        finished = self._reporter.sum_up_epoch(evaluation)
        self.protection.epochs.judge_epoch(finished.train_loss, evaluation)
        loop.epoch += 1
        loop.begin_epoch()
        self.emit(finished)
        is_asked = self.control.take_save_request()
        if self._ending() is not None:
            self.save("end")
            self.protection.judge_refusal()
            return
        self.save("request" if is_asked else "epoch")
        self.control.end_epoch()

    def _ending(self) -> Why | None:
        if self._limit_is_reached():
            return "max_steps"
        if self.loop.epoch >= self.parts.config.train.epochs:
            return "epochs"
        return "early_stopping" if self.protection.epochs.wants_early_stop() else None

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

    def _save_if_due(self) -> None:
        is_asked = self.control.take_save_request()
        if is_asked or self.saver.is_due():
            self.save("request" if is_asked else "interval")

"""Layers 4 to 6 around a step: measures, asks the guards, and lets recovery act."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ecotui.engine.assembly import Parts
from ecotui.engine.buffers import KeptBuffers, KeptGenerators
from ecotui.engine.clipping import Clipping
from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.data.loader import Batch, Failure
from ecotui.engine.guards import batch as batch_guard
from ecotui.engine.guards import epoch as epoch_guard
from ecotui.engine.guards import gradient as gradient_guard
from ecotui.engine.guards import loss as loss_guard
from ecotui.engine.guards.guard import StepReading, Verdict
from ecotui.engine.incidents import Incidents
from ecotui.engine.investigation import Findings
from ecotui.engine.late import LateReading, LateReadings
from ecotui.engine.meter import Meter
from ecotui.engine.recovery import Recovery
from ecotui.engine.relief import Relief
from ecotui.engine.rollback import Span
from ecotui.engine.screening import faults_in
from ecotui.engine.soundness import Soundness
from ecotui.engine.step import Gradients, Stepper
from ecotui.engine.train_state import LoopState
from ecotui.engine.trends import Trends
from ecotui.errors import ExitCode
from ecotui.guard_settings import GuardConfig
from ecotui.text import visible

SetAside = Callable[[Sequence[Failure]], None]
"""Names samples that are used no more in the place where they were."""

_RAISED = (RuntimeError, AssertionError, ValueError, MemoryError)
"""What a step may raise. ValueError is BatchNorm's, where a batch has one image left."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong with a step; no exception, which would keep the step's memory alive."""

    said: str = ""
    is_memory: bool = False
    is_update: bool = False
    gradients: Gradients | None = None


class StepProtection:
    """Stands between a batch and the weights.

    Args:
        parts: Everything built.
        loop: Its counts are kept up here.
        recovery: Acts on verdicts.
        incidents: Looks into faults.
        relief: Makes room where memory ran out.
        set_aside: Names samples that must not be used again.
    """

    def __init__(
        self,
        parts: Parts,
        loop: LoopState,
        recovery: Recovery,
        incidents: Incidents,
        relief: Relief,
        set_aside: SetAside,
    ) -> None:
        self._parts, self._loop = parts, loop
        self._recovery, self._incidents = recovery, incidents
        self._relief, self._set_aside = relief, set_aside
        self._clipping = Clipping(parts.config.train, parts.compute.device, loop.clip_state)
        self._buffers = KeptBuffers(parts.trainable.network)
        self._generators = KeptGenerators(parts.compute.device)
        self._soundness = Soundness(parts.trainable)
        self._trends = Trends(parts, loop, recovery)
        self._late = LateReadings()
        self._is_updating = False
        self.stepper = Stepper(parts, self._clipping)
        self.wants_anew = False
        """Batches that were read ahead may hold a sample that was set aside since."""
        self.is_norms_asked = False
        """Each layer's norms are to be written down with the next batch."""

    def take(self, batch: Batch, meter: Meter) -> bool:
        """Take a step with a batch, or skip it, every trace of it removed.

        A sample that is at fault is replaced, and memory that ran out is made; then the
        same batch is tried again.

        Returns:
            Whether it was used.

        Raises:
            EcoError: A guard gave up.
            RolledBack: The state is an earlier one from here on.

        Emits:
            GuardTripped, GuardRecovered, SampleSetAside, IncidentRecorded, ConfigChanged.
        """
        self._judge_failures(batch)
        tried: Batch | None = self._screened(batch)
        if self.is_norms_asked and tried is not None:
            self.is_norms_asked = False
            self._incidents.measure(tried, self._loop.step)
        while tried is not None and tried.labels_B.numel():
            self._buffers.remember()
            self._generators.remember()
            outcome = self._attempt(tried)
            if not isinstance(outcome, _Fault):
                self._note_taken(outcome, tried, meter)
                return True
            tried = self._answered(outcome, tried)
        return False

    def settle(self, meter: Meter) -> None:
        """Judge what is still under way, and let the loop's state be whole.

        Raises:
            EcoError, RolledBack: As `take`.
        """
        for reading in self._late.rest():
            self._judge_late(reading, meter)
        self._loop.clip_state = self._clipping.state()

    def begin_anew(self) -> None:
        """Forget what belongs to steps that have not happened any more."""
        self._late.forget()
        self.stepper.abandon()
        self._clipping = Clipping(
            self._parts.config.train, self._parts.compute.device, self._loop.clip_state
        )
        self.stepper.clip_with(self._clipping)

    def judge_state(self) -> None:
        """Look whether all that is trained is finite.

        Raises:
            EcoError, RolledBack: It is not.
        """
        verdict = epoch_guard.inspect_state(self._soundness.broken())
        if verdict is None:
            self._loop.sound_step = self._loop.step
            return
        self._incidents.record(verdict, self._loop.step, "model", verdict.what)
        self._recovery.act(verdict, span=Span(self._loop.sound_step, passes_over=False))

    def _attempt(self, batch: Batch) -> Gradients | _Fault | None:
        """Take a step with a batch.

        Returns:
            What was measured, None where it is to be read later, or what was wrong with it.
        """
        self._is_updating = False
        try:
            if self.stepper.is_late:
                self._take_late(batch)
                return None
            gradients = self.stepper.compute_gradients(batch, self._loop.step)
            if self._is_overflow(gradients):
                self.stepper.abandon()
                self._buffers.put_back()
            elif self._judged(gradients, self._loop.step) is not None:
                return _Fault(gradients=gradients)
            else:
                self._is_updating = True
                self.stepper.update(self._loop.step + 1)
        except _RAISED as error:
            traceback.print_exception(error)
            said = visible(f"{type(error).__name__}: {error}", limit=200)
            return _Fault(said, is_out_of_memory(error), self._is_updating)
        return gradients

    def _note_taken(self, gradients: Gradients | None, batch: Batch, meter: Meter) -> None:
        if gradients is None:
            for reading in self._late.due():
                self._judge_late(reading, meter)
            return
        self._count_used(gradients, batch, meter)
        if self._is_overflow(gradients):
            self._note_overflow(gradients, self._loop.step)
        else:
            self._note_good(gradients, self._loop.step)

    def _count_used(self, gradients: Gradients, batch: Batch, meter: Meter) -> None:
        meter.note_step(
            gradients.loss,
            gradients.hits,
            gradients.norm,
            batch.labels_B.numel(),
            is_mixed=self._parts.mixer is not None,
        )

    def _note_good(self, gradients: Gradients, step: int) -> None:
        self._incidents.note_step(step, gradients)
        self._recovery.note_good_step(step)
        self._loop.num_overflows_in_a_row = 0
        self._relief.note_good_step()
        self._trends.follow(gradients, step)

    def _answered(self, fault: _Fault, batch: Batch) -> Batch | None:
        """Undo a step, act on what was wrong with it, and return the batch to try again."""
        self.stepper.abandon()
        self._buffers.put_back()
        if fault.is_memory:
            self._make_room(fault, batch)
            self._generators.put_back()
            return batch
        if fault.is_update:
            verdict = batch_guard.inspect_update(fault.said)
            span = Span(self._loop.step, passes_over=False)
            self._recovery.act(verdict, files=self._files(batch), span=span)
        return self._rejected(fault, batch)

    def _make_room(self, fault: _Fault, batch: Batch) -> None:
        """Compute fewer images at once; back to a sound state where the update was half done."""
        where = "the update of the weights" if fault.is_update else "a training step"
        verdict = batch_guard.inspect_memory(where, self._relief.size, self._relief.smallest)
        if not fault.is_update or verdict.action == "stop" or not self._config.healing:
            self._recovery.act(verdict, files=self._files(batch), exit_code=ExitCode.OUT_OF_MEMORY)
        self._relief.shrink()
        if fault.is_update:
            span = Span(self._loop.step, passes_over=False)
            self._recovery.go_back_uncounted(verdict, span, self._files(batch))

    def _rejected(self, fault: _Fault, batch: Batch) -> Batch | None:
        """Act on a batch that failed or is not finite; return it with other samples, or None."""
        loop = self._loop
        if fault.gradients is not None:
            self._incidents.note_step(loop.step, fault.gradients)
            verdict = self._judged(fault.gradients, loop.step)
            assert verdict is not None  # noqa: S101 - it was rejected for this
            is_first = self._count_bad(loop.step)
        else:
            loop.num_errors_in_a_row += 1
            is_first = loop.num_errors_in_a_row == 1
            verdict = batch_guard.inspect_error(fault.said, loop.num_errors_in_a_row, self._config)
        if is_first:
            self.judge_state()  # with a broken state no batch is to blame
        found = self._looked_into(verdict, batch, loop.step) if is_first else None
        if found is not None and found.bad_positions:
            if fault.gradients is not None:
                del loop.bad_steps[-1:]
            self._generators.put_back()
            return self._without(batch, found, verdict)
        self._recovery.act(verdict, files=self._files(batch), span=self._bad_span())
        return None

    def _looked_into(self, verdict: Verdict, batch: Batch, step: int) -> Findings | None:
        if not self._config.healing:
            return None
        return self._incidents.look_into(verdict, batch, step, self._buffers, self._generators)

    def _without(self, batch: Batch, found: Findings, verdict: Verdict) -> Batch:
        """Return a batch with other samples in the place of those that fail alone."""
        reasons = dict.fromkeys(found.bad_positions, f"{verdict.what}; {found.what}")
        self._keep_out({batch.sample_ids[at]: reason for at, reason in reasons.items()})
        self._loop.num_bad_in_a_row = self._loop.num_errors_in_a_row = 0
        return self._replaced(batch, reasons)

    def _keep_out(self, reasons: dict[int, str]) -> None:
        for sample_id, reason in reasons.items():
            self._loop.quarantined.append(sample_id)
            self._parts.train_loader.leave_out(sample_id, reason)
        self.wants_anew = True

    def _judge_failures(self, batch: Batch) -> None:
        """End the run for a sample that the loader could not use, where nothing may heal.

        Raises:
            EcoError: There is one.
        """
        if self._config.healing:
            return
        for failure in batch.failures:
            file = visible(self._parts.index.names[failure.sample_id])
            self._recovery.act(batch_guard.set_aside(file, failure.reason), files=[file])

    def _screened(self, batch: Batch) -> Batch:
        """Return a batch without samples that must not reach the model."""
        reasons = faults_in(
            batch,
            image_size=self._parts.built.spec.image_size,
            num_classes=self._parts.num_classes,
        )
        return self._replaced(batch, reasons) if reasons else batch

    def _replaced(self, batch: Batch, reasons: dict[int, str]) -> Batch:
        """Return a batch with others in the place of some samples, which are named."""
        made = self._parts.train_loader.without(batch, reasons, self._loop.epoch)
        failures = made.failures[len(batch.failures) :]
        for failure in failures:
            file = visible(self._parts.index.names[failure.sample_id])
            self._recovery.act(batch_guard.set_aside(file, failure.reason), files=[file])
        self._loop.num_lost_samples += len(failures)
        self._set_aside(failures)
        return made

    def _judged(self, gradients: Gradients, step: int) -> Verdict | None:
        loop = self._loop
        reading = StepReading(
            loss=gradients.loss,
            gradient_norm=gradients.norm,
            num_bad_in_a_row=loop.num_bad_in_a_row,
            is_scaled=self._parts.trainable.scaler.is_enabled(),
            best_scores=gradients.best_scores,
            num_bad_recently=sum(each > step - loss_guard.RECENT_STEPS for each in loop.bad_steps),
        )
        return loss_guard.inspect_step(reading, self._config) or gradient_guard.inspect_step(
            reading, self._config
        )

    def _count_bad(self, step: int) -> bool:
        """Count a step that is not finite, and say whether it is the first of a series."""
        loop = self._loop
        loop.num_bad_in_a_row += 1
        oldest = step - loss_guard.RECENT_STEPS
        loop.bad_steps = [*(each for each in loop.bad_steps if each > oldest), step]
        if loop.num_bad_in_a_row == 1:
            loop.first_bad_step = step
        return loop.num_bad_in_a_row == 1

    def _bad_span(self) -> Span:
        first = self._loop.first_bad_step if self._loop.num_bad_in_a_row else self._loop.step
        return Span(first, self._loop.step - first + 1)

    def _is_overflow(self, gradients: Gradients) -> bool:
        """Say whether fp16 overflowed in the backward pass, which is its scaler's daily work."""
        is_scaled = self._parts.trainable.scaler.is_enabled()
        is_whole = math.isfinite(gradients.loss) and math.isfinite(gradients.best_scores)
        return is_scaled and is_whole and not math.isfinite(gradients.norm)

    def _note_overflow(self, gradients: Gradients, step: int) -> None:
        self._incidents.note_step(step, gradients)
        self._loop.num_overflows_in_a_row += 1
        scale = float(self._parts.trainable.scaler.get_scale())
        verdict = gradient_guard.inspect_scale(
            scale, self._loop.num_overflows_in_a_row, self._config
        )
        self._recovery.tell_once(gradient_guard.FP16_SCALE, verdict, step)

    def _take_late(self, batch: Batch) -> None:
        """Take a step that the update itself leaves undone where it is not finite."""
        loop = self._loop
        measured = self.stepper.measure(batch, loop.step)
        is_bad = ~torch.isfinite(measured).all()
        self._is_updating = True
        self.stepper.update_unless(is_bad, loop.step + 1)
        self._buffers.put_back_where(is_bad)
        place = self._parts.place(loop.epoch, loop.batch_in_epoch)
        self._late.put(measured, batch, loop.step, place)

    def _judge_late(self, reading: LateReading, meter: Meter) -> None:
        gradients, step, batch = reading.gradients, reading.step, reading.batch
        if self._is_overflow(gradients):
            self._count_used(gradients, batch, meter)
            self._note_overflow(gradients, step)
            return
        verdict = self._judged(gradients, step)
        if verdict is None:
            self._count_used(gradients, batch, meter)
            self._note_good(gradients, step)
            return
        self._loop.num_skipped_batches += 1
        self._incidents.note_step(step, gradients)
        is_first = self._count_bad(step)
        if is_first:
            self.judge_state()
        found = self._looked_into(verdict, batch, step) if is_first else None
        if found is not None and found.bad_positions:
            blamed = [batch.sample_ids[at] for at in found.bad_positions]
            reason = f"{verdict.what}; {found.what}"
            self._keep_out(dict.fromkeys(blamed, reason))
            self._set_aside([Failure(sample_id, reason) for sample_id in blamed])
        span = Span(self._loop.first_bad_step, self._loop.step - self._loop.first_bad_step + 1)
        self._recovery.act(verdict, files=self._files(batch), span=span, step=step)

    def _files(self, batch: Batch) -> list[str]:
        names = self._parts.index.names
        return [visible(names[sample_id]) for sample_id in batch.sample_ids]

    @property
    def _config(self) -> GuardConfig:
        return self._parts.config.guards

"""The protection while training, layers 4 to 7, put together for one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.assembly import Parts
from ecotui.engine.changes import Changes
from ecotui.engine.data.loader import Failure
from ecotui.engine.emit import Emit
from ecotui.engine.epoch_protection import EpochProtection
from ecotui.engine.guards import batch as batch_guard
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.incidents import Incidents
from ecotui.engine.quarantine import KEPT_OUT, returned_ids
from ecotui.engine.recovery import Recovery
from ecotui.engine.relief import Relief
from ecotui.engine.reporting import Reporter
from ecotui.engine.rollback import Rollback
from ecotui.engine.saving import Saver
from ecotui.engine.step_protection import StepProtection
from ecotui.engine.stop_report import StopReport
from ecotui.engine.train_state import LoopState
from ecotui.errors import ExitCode
from ecotui.events import SplitName
from ecotui.paths import RunDir


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the protection of a run works with.

    Attributes:
        run: Where records go.
        saver: Commits states, and holds the copy in memory.
        copy: That copy.
        changes: Writes down settings that change; None where nothing is written down.
        reporter: States what happened.
    """

    run: RunDir
    saver: Saver
    copy: HostCopy
    changes: Changes | None
    reporter: Reporter


class Protection:
    """Stands between batches and weights, and between epochs; keeps a state to go back to.

    Args:
        parts: Everything built.
        loop: Its counts are kept up here.
        around: What it works with.
        emit: Where the facts go.

    Attributes:
        steps: Around each step.
        epochs: Around each epoch.
        relief: Where memory runs out.
    """

    def __init__(self, parts: Parts, loop: LoopState, around: Surroundings, emit: Emit) -> None:
        self._parts, self._loop, self._around = parts, loop, around
        rollback = Rollback(parts, around.run, around.saver, around.copy, loop, emit)
        incidents = Incidents(parts, around.run, loop, emit)
        self.recovery = Recovery(parts, loop, rollback, emit)
        self._story = StopReport(
            parts, around.run, loop, rollback.budget, incidents, rollback.records
        )
        self.recovery.report = self._story.write
        self.relief = Relief(parts, around.changes, loop, emit)
        self.epochs = EpochProtection(parts, loop, self.recovery, incidents, emit)
        self.steps = StepProtection(
            parts, loop, self.recovery, incidents, self.relief, self._set_aside
        )

    def begin(self) -> None:
        """Leave out what was set aside for good, and keep the first state to go back to."""
        self._story.clear()
        loop = self._loop
        back = returned_ids(self._around.run.quarantine, self._parts.index)
        loop.quarantined = [each for each in loop.quarantined if each not in back]
        loop.set_aside = [each for each in loop.set_aside if each not in back]
        for sample_id in loop.quarantined:
            self._parts.train_loader.leave_out(sample_id, KEPT_OUT)
        loop.sound_step = loop.step
        self._remember()

    def note_step(self) -> None:
        """Look at the state now and then, and keep it where it is sound; called between steps.

        Raises:
            EcoError, RolledBack: It is not sound.
        """
        loop, config = self._loop, self._parts.config.guards
        is_due = loop.step - loop.sound_step >= config.check_state_every_steps
        if is_due or self._around.saver.take_refusal():
            self._settle()
            self.steps.judge_state()
            is_old = loop.step - self._around.copy.step >= config.rollback_steps
            if is_old and not self._is_thrown_off():
                self._remember()
        self._around.saver.keeps_copy = self._is_thrown_off()

    def judge_refusal(self) -> None:
        """Look at the state where the saver has refused it.

        Raises:
            EcoError, RolledBack: It is not sound.
        """
        if self._around.saver.take_refusal():
            self.steps.judge_state()

    def judge_state(self) -> None:
        """Look at the state at once.

        Raises:
            EcoError, RolledBack: It is not sound.
        """
        self._around.saver.take_refusal()
        self.steps.judge_state()

    def goes_on(self) -> bool:
        """Go to the next batch that is not to be passed over; no where the epoch has none left."""
        loop, steps_per_epoch = self._loop, self._parts.train_loader.steps_per_epoch
        while loop.batch_in_epoch < steps_per_epoch and self.passes_over():
            loop.batch_in_epoch += 1
            loop.step += 1
            self._parts.schedule.set_step(self._parts.place(loop.epoch, loop.batch_in_epoch))
        return loop.batch_in_epoch < steps_per_epoch

    def passes_over(self) -> bool:
        """Say whether the next batch is one that the run has gone back from."""
        place = self._parts.place(self._loop.epoch, self._loop.batch_in_epoch)
        return any(first <= place < end for first, end in self._loop.passed_over)

    def has_to_read_anew(self) -> bool:
        """Say, once, whether the batches that were read ahead are not the ones to go on with."""
        wants, self.steps.wants_anew = self.steps.wants_anew, False
        return wants or self.passes_over()

    def answer_evaluation(self, split: SplitName, size: int) -> int:
        """Return how many images to evaluate at once, memory having run out with so many.

        Raises:
            EcoError: It was one.

        Emits:
            GuardTripped.
        """
        where = f"the evaluation of the {split} split"
        verdict = batch_guard.inspect_memory(where, size, 1)
        self.recovery.act(verdict, exit_code=ExitCode.OUT_OF_MEMORY)
        self.relief.evaluation_size = size // 2
        return size // 2

    def _remember(self) -> None:
        if not self._parts.config.guards.healing:
            return
        self._around.reporter.state_steps()
        self._around.saver.remember(self._loop)

    def _settle(self) -> None:
        self.steps.settle(self._around.reporter.meter)

    def _is_thrown_off(self) -> bool:
        return bool(self._loop.spike_steps or self._loop.num_bad_in_a_row)

    def _set_aside(self, failures: Sequence[Failure]) -> None:
        kept_out = set(self._loop.quarantined)
        for failure in failures:
            self._around.reporter.set_aside(
                [failure], "train", is_kept_out=failure.sample_id in kept_out
            )

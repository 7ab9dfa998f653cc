"""What a guard's verdict leads to: told, undone, counted, gone back from, or the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.known import silenced
from ecotui.engine.rollback import Rollback, RolledBack, Span
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, ExitCode
from ecotui.events import GuardRecovered
from ecotui.guard_register import GUARD_REGISTER, OVER
from ecotui.text import counted, number

MAX_NAMED_FILES = 20


class Recovery:
    """States every verdict, and does what it asks for as far as the run may heal itself.

    Args:
        parts: Whose configuration says what may be healed.
        loop: Its counts of bad steps in a row are kept up here.
        rollback: Goes back to an earlier state.
        emit: Where the facts go.
    """

    def __init__(self, parts: Parts, loop: LoopState, rollback: Rollback, emit: Emit) -> None:
        self._parts = parts
        self._loop = loop
        self._rollback = rollback
        self._emit = emit
        self._last_bad: Verdict | None = None
        self.report: Callable[[Verdict, Sequence[str]], str] = lambda *_: ""
        """Writes down why the run ends, and says where; called before it does."""

    def act(
        self,
        verdict: Verdict,
        *,
        files: Sequence[str] = (),
        span: Span | None = None,
        exit_code: ExitCode = ExitCode.HEALTH,
        step: int | None = None,
    ) -> None:
        """State a verdict, and go back or end the run where it says so.

        Args:
            verdict: What the guard found.
            files: Samples concerned, relative to the data root, made harmless.
            span: Where the fault lies, for a verdict that may lead back.
            exit_code: Of a run that ends here.
            step: That it was found at; the present one where not given.

        Raises:
            EcoError: The guard gave up.
            RolledBack: The state is an earlier one from here on.

        Emits:
            GuardTripped, and what a rollback states.
        """
        resolved = self._resolved(verdict)
        self._tell(resolved, files, step)
        if resolved.action in ("skip_batch", "shrink_micro_batch"):
            self._last_bad = resolved
        if resolved.action == "rollback":
            if self._rollback.go_back(resolved, span or Span(self._loop.step)):
                self._last_bad = None
                raise RolledBack
            nowhere = f"{resolved.what}, and there is no sound state to go back to"
            resolved = replace(resolved, what=nowhere, action="stop")
            self._tell(resolved, files, step)
        if resolved.action == "stop":
            remedy = self._with_report(resolved, files)
            raise EcoError(resolved.what, _expected(resolved), remedy, exit_code)

    def go_back_uncounted(self, verdict: Verdict, span: Span, files: Sequence[str]) -> None:
        """State a verdict that was answered otherwise, and begin anew at the last sound state.

        Raises:
            EcoError: There is none.
            RolledBack: There was one.

        Emits:
            GuardTripped, and what a rollback states.
        """
        self._tell(verdict, files, None)
        self._last_bad = verdict
        if self._rollback.go_back(verdict, span, counts=False):
            raise RolledBack
        remedy = self._with_report(verdict, files)
        raise EcoError(verdict.what, "a sound state to go back to", remedy, ExitCode.OUT_OF_MEMORY)

    def tell_once(self, guard: str, verdict: Verdict | None, step: int | None = None) -> None:
        """State a lasting finding when it begins, and when it is over.

        Args:
            guard: That looked.
            verdict: What it found now; None where all is well.
            step: That it was found at.

        Emits:
            GuardTripped, GuardRecovered.
        """
        told = self._loop.told
        if verdict is None and guard in told:
            told.remove(guard)
            entry = GUARD_REGISTER[guard]
            at = self._loop.step if step is None else step
            what = f"{OVER}{entry.title}"
            self._emit(GuardRecovered(layer=entry.layer or 7, guard=guard, what=what, step=at))
        elif verdict is not None and guard not in told:
            told.append(guard)
            self.act(verdict, step=step)

    def note_good_step(self, step: int | None = None) -> None:
        """Count from zero again, and say so after a bad step.

        Emits:
            GuardRecovered.
        """
        self._loop.num_bad_in_a_row = self._loop.num_errors_in_a_row = 0
        if self._last_bad is not None:
            self._emit(
                GuardRecovered(
                    layer=self._last_bad.layer,
                    guard=self._last_bad.guard,
                    what="the next step was sound",
                    step=self._loop.step if step is None else step,
                )
            )
            self._last_bad = None

    def _resolved(self, verdict: Verdict) -> Verdict:
        """Return a verdict with the action that is possible: a run may heal no more, or not at all.

        A rollback that is not left becomes the end of the run: it cannot go round for ever.
        """
        config = self._parts.config.guards
        allowed = silenced(verdict, config.silenced)
        if allowed.action in ("none", "stop"):
            return allowed
        if not config.healing:
            return allowed.quieted("stop")
        budget = self._rollback.budget
        if allowed.action == "rollback" and not budget.is_left(allowed.guard):
            count = counted(budget.num_spent, "rollback")
            what = f"{allowed.what}, after {count}" if budget.num_spent else allowed.what
            return replace(allowed, what=what, action="stop")
        return allowed

    def _with_report(self, verdict: Verdict, files: Sequence[str]) -> str:
        where = self.report(verdict, files[:MAX_NAMED_FILES])
        return f"{verdict.advice}; the whole story is in {where}" if where else verdict.advice

    def _tell(self, verdict: Verdict, files: Sequence[str], step: int | None) -> None:
        at = self._loop.step if step is None else step
        self._emit(verdict.tripped(at, files[:MAX_NAMED_FILES]))


def _expected(verdict: Verdict) -> str:
    if verdict.limit is None:
        return "finite numbers"
    is_count = verdict.unit.endswith("in a row")
    limit = f"fewer than {verdict.limit:.0f}" if is_count else f"at most {number(verdict.limit, 2)}"
    return f"{limit} {verdict.unit}"

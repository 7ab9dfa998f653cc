"""Mends an environment: plans, changes, examines again, and undoes what did not help.

Never imports what it changes, so that it works on the environment that it runs in.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from ecotui.engine.applying import (
    STEP_LIMIT_SECONDS,
    Undone,
    alone,
    conflicts,
    keep_all,
    put_back,
    recover,
    run_steps,
    undisturbed,
)
from ecotui.engine.control import Control, StopRequested
from ecotui.engine.diagnose import Diagnosis
from ecotui.engine.emit import Emit
from ecotui.engine.packages import Surroundings, changes, normalised, survey
from ecotui.engine.refusals import advice
from ecotui.engine.repair_plan import Plan, make_plan
from ecotui.engine.versions import requirements
from ecotui.errors import EcoError, EnvironmentFaultError
from ecotui.events import CheckReported, LogWritten, RepairFinished, RepairOutcome
from ecotui.text import counted, listed

Examine = Callable[[], Diagnosis]
_OF_THE_MACHINE = frozenset({"memory"})
"""Checks whose verdict may change while nothing was done to the packages."""
_TRAINING = frozenset(
    {"torch", "torchvision", "timm", "numpy", "pillow", "safetensors", "huggingface-hub"}
)
"""What only an engine loads, each a new one: a screen that is open needs no new start."""


@dataclass(slots=True)
class Repair:
    """One repair of one interpreter's packages.

    Attributes:
        control: Asked whether to stop.
        emit: Where the facts go.
        examine: Diagnoses the same interpreter, telling what it finds.
        python: Path of the interpreter.
        is_own: It is the one that ecotui runs in.
        limit_seconds: For each command.
    """

    control: Control
    emit: Emit
    examine: Examine
    python: str
    is_own: bool
    limit_seconds: float = STEP_LIMIT_SECONDS

    def tell(self) -> None:
        """Say what would mend the environment; change nothing.

        Raises:
            EnvironmentFaultError: Something is wrong.

        Emits:
            RepairPlanned, RepairFinished, and what the diagnosis emits.
        """
        found = self.examine()
        around = survey(self.python)
        plan = self._planned(found, around)
        if plan is not None:
            self._leave(plan, found)

    def mend(self) -> None:
        """Change what has to be changed, examine again, and undo it unless it helped.

        Raises:
            EnvironmentFaultError: Not every check passes.
            StopRequested: Somebody asked to stop; everything has been put back.

        Emits:
            RepairPlanned, RepairStepStarted, RepairSaid, RepairFinished, StageStarted,
            StageAdvanced, StageFinished, LogWritten, and what the diagnosis emits.
        """
        around = survey(self.python)
        self._recover(around)
        found = self.examine()
        around = survey(self.python)
        plan = self._planned(found, around)
        if plan is None:
            return
        if plan.refusal:
            self._leave(plan, found)
        with alone(around):
            self._change(plan, found, around)

    def _recover(self, around: Surroundings) -> None:
        undone = recover(around)
        if undone is not None:
            message = f"an earlier repair was cut off: {undone.words}"
            self.emit(LogWritten(severity="warning", message=message))

    def _planned(self, found: Diagnosis, around: Surroundings) -> Plan | None:
        """State the plan; None where there is nothing to do."""
        if not found.failures:
            self._finish("nothing_to_do", "no check fails; there is nothing to mend")
            return None
        plan = make_plan(found.failures, around, uv=shutil.which("uv"))
        self.emit(plan.told(around))
        return plan

    def _leave(self, plan: Plan, found: Diagnosis) -> None:
        """End without having changed anything."""
        command = ["ecotui", "doctor", "--fix", "--yes"]
        command += [] if self.is_own else ["--python", self.python]
        remedy = plan.refusal or f"to do it: {shlex.join(command)}"
        self._finish("planned", f"nothing was changed; {remedy}")
        raise _fault(found.failures[0], remedy)

    def _change(self, plan: Plan, found: Diagnosis, around: Surroundings) -> None:
        unmet = conflicts(around, shutil.which("uv"))
        kept = keep_all(around)
        try:
            why = run_steps(plan, self.emit, self._poll, limit_seconds=self.limit_seconds)
            after = survey(self.python)
            changed = changes(around, after)
            why = why or _trespass(around, after)
            again = found if why else self.examine()
            why = why or _why_not(found, again)
        except BaseException as error:
            with undisturbed():
                self._undo(put_back(kept, around, self.python), _interruption(error))
            raise
        if why:
            with undisturbed():
                undone = self._undo(put_back(kept, around, self.python), why)
            raise _fault(found.failures[0], f"{undone}. {advice(around)}")
        kept.drop()
        unmet = conflicts(after, shutil.which("uv")) - unmet
        self._succeed(found, again, changed, tuple(sorted(unmet)))

    def _succeed(
        self,
        found: Diagnosis,
        again: Diagnosis,
        changed: tuple[str, ...],
        unmet: tuple[str, ...],
    ) -> None:
        words = [listed(changed) or "the same versions were installed anew"]
        if unmet:
            words.append(f"other packages wish for something else now: {listed(unmet, limit=3)}")
        if self.is_own and _is_of_the_screen(changed):
            words.append("start ecotui again where it is still open")
        if not again.failures:
            self._finish("mended", "; ".join(["no check fails any more", *words]), changed)
            return
        left = counted(len(again.failures), "check")
        first = again.failures[0]
        told = f"{left} of {len(found.failures)} still fail{'s' if left == '1 check' else ''}"
        self._finish("better", "; ".join([told, *words]), changed)
        raise _fault(first, first.remedy)

    def _undo(self, undone: Undone, why: str) -> str:
        outcome: RepairOutcome = "rolled_back" if undone.is_whole else "stuck"
        words = f"{why}; {undone.words}"
        self._finish(outcome, words)
        return words

    def _finish(self, outcome: RepairOutcome, what: str, changed: tuple[str, ...] = ()) -> None:
        self.emit(RepairFinished(outcome=outcome, what=what, changed=changed))

    def _poll(self) -> None:
        self.control.poll(0)


def _fault(check: CheckReported, remedy: str) -> EnvironmentFaultError:
    return EnvironmentFaultError(check.what, check.expected, remedy)


def _interruption(error: BaseException) -> str:
    if isinstance(error, StopRequested):
        return f"stopped ({error.reason})"
    if isinstance(error, EcoError):
        return error.what
    return f"it could not be brought to its end ({type(error).__name__})"


def _trespass(before: Surroundings, after: Surroundings) -> str:
    """Name a package that no repair may change and that is another now; empty where none."""
    for name, old in before.packages.items():
        if old.is_local and after.packages.get(name) != old:
            return f"it changed {old.name}, which comes from a folder of your own"
    return ""


def _why_not(found: Diagnosis, again: Diagnosis) -> str:
    """Return why a change must not stand; empty where it may."""
    before = {check.check: check.verdict for check in found.checks}
    for check in again.failures:
        if before.get(check.check) in ("pass", "warn") and check.check not in _OF_THE_MACHINE:
            return f"it made things worse: {check.what}"
    still = {check.check for check in again.failures}
    reached = {check.check for check in again.checks if check.verdict in ("pass", "warn")}
    if still and not any(check.check in reached for check in found.failures):
        return f"it mended nothing: {again.failures[0].what}"
    return ""


def _is_of_the_screen(changed: tuple[str, ...]) -> bool:
    own = {normalised(each.name) for each in requirements()} - _TRAINING
    return any(change.partition(" ")[0] in own for change in changed)

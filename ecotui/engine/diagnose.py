"""Layer 1: can this environment train at all?

Behaviour first, in child processes: the patient may die of being looked at. What is known
of causes explains it second. At the start of a run this process loads its own libraries
while it waits, always one module behind a child that has survived it; in an environment that
a child has survived before, and of which nothing has changed, it goes alone.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecotui.check_register import CHECKS, QUICK_CHECKS
from ecotui.engine.control import Control
from ecotui.engine.emit import Emit, span
from ecotui.engine.interpreter import (
    check_conda,
    check_interpreter,
    check_records,
    check_shadowing,
)
from ecotui.engine.judging import GOALS, judged
from ecotui.engine.machine_checks import check_machine
from ecotui.engine.package_knowledge import check_opencv, check_pair, check_pillow
from ecotui.engine.probing import (
    BEHAVIOURS,
    IMPORTS,
    LIMIT_SECONDS,
    OWN_MODULE,
    PATIENCE_SECONDS,
    QUICK_BEHAVIOURS,
    Answer,
    FollowingImports,
    LeaderLostError,
    Probe,
    Wish,
)
from ecotui.engine.reliving import is_possible, relive
from ecotui.engine.survived import Survived
from ecotui.engine.verdicts import failed
from ecotui.engine.versions import (
    OLDEST_PYTHON,
    Inventory,
    check_packages,
    check_python,
    own_inventory,
    read_inventory,
)
from ecotui.errors import EnvironmentFaultError
from ecotui.events import CheckReported
from ecotui.jobs import TerminalFacts
from ecotui.text import visible

__all__ = ["CHECKS", "QUICK_CHECKS", "Circumstances", "Diagnosis", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        checks: A verdict for each of `CHECKS` that was looked at, in the order they came.
        inventory: Of the interpreter; None where it never answered.
    """

    checks: tuple[CheckReported, ...]
    inventory: Inventory | None = None

    @property
    def failures(self) -> tuple[CheckReported, ...]:
        """Checks that failed, the cause first."""
        wrong = [check for check in self.checks if check.verdict == "fail"]
        return tuple(sorted(wrong, key=lambda check: CHECKS.index(check.check)))

    def record(self) -> list[dict[str, Any]]:
        """Return the findings as JSON has them."""
        skipped = {"kind", "seq", "at", "since_start", "nonfinite", "layer"}
        return [check.model_dump(mode="json", exclude=skipped) for check in self.checks]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an examination is for.

    Attributes:
        model: That the run asks for; empty for none.
        terminal: Of the person; None where nobody looked.
        is_quick: Only what a run needs to know before it begins.
        loads: This process imports its libraries meanwhile, one step behind a child.
        limit_seconds: For everything that is tried in child processes, together.
    """

    model: str = ""
    terminal: TerminalFacts | None = None
    is_quick: bool = False
    loads: bool = False
    limit_seconds: float = LIMIT_SECONDS


def diagnose(
    control: Control,
    emit: Emit,
    *,
    runs_path: Path,
    device: str = "auto",
    python: str | None = None,
    raises: bool = True,
    circumstances: Circumstances | None = None,
) -> Diagnosis:
    """Examine the environment: versions, behaviour, devices, memory, disk.

    Args:
        control: Asked whether to stop, while waiting.
        emit: Where the facts go.
        runs_path: Whose disk is looked at; need not exist.
        device: That the run asks for: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        python: The interpreter to examine; the engine's own where not given.
        raises: A check that failed is an error, not only a finding.
        circumstances: What it is for; a whole examination when None.

    Raises:
        EnvironmentFaultError: A check failed; all of them have been reported then.

    Emits:
        StageStarted, CheckReported, StageAdvanced, StageFinished.
    """
    purpose = circumstances or Circumstances()
    wish = Wish(
        device=device,
        python=python or sys.executable,
        runs_path=runs_path,
        model=purpose.model,
        behaviours=QUICK_BEHAVIOURS if purpose.is_quick else BEHAVIOURS,
        limit_seconds=purpose.limit_seconds,
        patience_seconds=min(PATIENCE_SECONDS, purpose.limit_seconds),
        in_step=purpose.loads,
    )
    names = QUICK_CHECKS if purpose.is_quick else CHECKS
    with span(emit, "diagnose", total=len(names), unit="checks") as stage:

        def tell(check: CheckReported) -> None:
            emit(check)
            stage.advance()

        examination = _Examination(wish, lambda: control.poll(0), tell, purpose, python is None)
        examination.run()
    diagnosis = Diagnosis(tuple(examination.found), examination.inventory)
    if raises and diagnosis.failures:
        first = diagnosis.failures[0]
        raise EnvironmentFaultError(first.what, first.expected, first.remedy)
    return diagnosis


class _Examination:
    """One examination from the first answer to the last verdict."""

    def __init__(
        self,
        wish: Wish,
        poll: Callable[[], None],
        tell: Callable[[CheckReported], None],
        purpose: Circumstances,
        is_own: bool,
    ) -> None:
        self.found: list[CheckReported] = []
        self.inventory: Inventory | None = None
        self._wish, self._poll, self._tell = wish, poll, tell
        self._purpose, self._is_own = purpose, is_own
        self._names = QUICK_CHECKS if purpose.is_quick else CHECKS

    def run(self) -> None:
        """Look at everything and report it; nothing that is found ends it early."""
        began_at = time.time()
        survived = Survived() if self._purpose.loads and self._is_own else None
        if survived is not None and is_possible(survived) and self._run_alone(survived):
            return
        with Probe(self._wish) as probe:
            has_loaded = self._run_behind(probe)
        is_sound = not any(check.verdict == "fail" for check in self.found)
        if survived is not None and has_loaded and is_sound:
            survived.keep(began_at)

    def _run_alone(self, survived: Survived) -> bool:
        """Do without a child; False where that went wrong and one has to look."""
        self.inventory = inventory = replace(own_inventory(), executable=self._wish.python)
        self._report_surroundings(inventory)
        logging.captureWarnings(True)
        answers = relive(self._wish, survived, self._poll)
        if answers is None:
            return False
        self._report_packages(inventory, answers, ())
        return True

    def _run_behind(self, probe: Probe) -> bool:
        """Let children go ahead, and say whether this process has loaded everything after them."""
        self.inventory = inventory = self._take_inventory(probe)
        if inventory is None:
            self._report_stranger(probe)
        self._report_surroundings(inventory)
        has_loaded = False
        if self._purpose.loads and inventory is not None and not probe.shadows:
            has_loaded = self._load(probe)
        answers = probe.answers(self._poll)
        if inventory is not None:
            self._report_packages(inventory, answers, probe.shadows)
        return has_loaded

    def _report_surroundings(self, inventory: Inventory | None) -> None:
        if inventory is not None:
            self._report(check_python(inventory), check_packages(inventory))
        self._report(
            *check_machine(
                inventory or own_inventory(),
                self._wish.runs_path,
                self._purpose.terminal,
                is_quick=self._purpose.is_quick,
            )
        )

    def _report(self, *checks: CheckReported) -> None:
        for check in checks:
            is_told = any(check.check == each.check for each in self.found)
            if check.check in self._names and not is_told:
                told = self._with_possible_remedy(check)
                self.found.append(told)
                self._tell(told)

    def _with_possible_remedy(self, check: CheckReported) -> CheckReported:
        """Return a finding; in a Python that is too old no package mends anything."""
        inventory = self.inventory
        if inventory is None or not check.fix or inventory.release >= OLDEST_PYTHON:
            return check
        remedy = visible(f"make a new environment: {inventory.new_environment()}")
        return check.model_copy(update={"remedy": remedy, "fix": ()})

    def _take_inventory(self, probe: Probe) -> Inventory | None:
        told = probe.inventory(self._poll)
        if told is None:
            return None
        # Remedies name the interpreter as the person did.
        return replace(read_inventory(told), executable=self._wish.python)

    def _report_stranger(self, probe: Probe) -> None:
        python = visible(self._wish.python)
        self._report(
            failed(
                "python",
                f"{python} does not answer as Python 3.8 or later: {probe.last_words}",
                "the path of a Python interpreter, 3.8 or later",
                "name one: ecotui doctor --python PATH",
            )
        )

    def _report_packages(
        self, inventory: Inventory, answers: dict[str, Answer], shadows: tuple[str, ...]
    ) -> None:
        broken = {
            OWN_MODULE.get(check, "torch")
            for check, answer in answers.items()
            if answer.seen is None
        }
        self._report(
            check_shadowing(inventory, shadows, broken),
            check_interpreter(inventory, is_own=self._is_own),
            check_records(inventory),
            check_conda(inventory),
            check_pillow(inventory),
            check_opencv(inventory),
            check_pair(inventory),
        )
        wish = self._wish
        for check in GOALS:
            if check in self._names:
                self._report(judged(check, answers, inventory, wish.device, wish.model))

    def _load(self, probe: Probe) -> bool:
        """Import what training needs, never before a child has survived it.

        What goes wrong here went wrong in the child, too, and is told from there.
        """
        logging.captureWarnings(True)
        try:
            with FollowingImports(probe, self._poll):
                for name in IMPORTS:
                    importlib.import_module(name)
        except LeaderLostError:
            return False
        except (Exception, SystemExit) as error:
            logging.getLogger(__name__).warning("%s: %s", type(error).__name__, visible(error))
            return False
        return True

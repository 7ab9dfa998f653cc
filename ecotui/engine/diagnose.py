"""Layer 1: can this environment train at all?

Behaviour first, in child processes: the patient may die of being looked at. What is known
of causes explains it second. At the start of a run this process loads its own libraries
while it waits, always one module behind a child that has survived it.
"""

from __future__ import annotations

import importlib
import logging
import sys
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
    with span(emit, "diagnose", total=len(names), unit="checks") as stage, Probe(wish) as probe:

        def tell(check: CheckReported) -> None:
            emit(check)
            stage.advance()

        examination = _Examination(probe, lambda: control.poll(0), tell, purpose, python is None)
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
        probe: Probe,
        poll: Callable[[], None],
        tell: Callable[[CheckReported], None],
        purpose: Circumstances,
        is_own: bool,
    ) -> None:
        self.found: list[CheckReported] = []
        self.inventory: Inventory | None = None
        self._probe, self._poll, self._tell = probe, poll, tell
        self._purpose, self._is_own = purpose, is_own
        self._names = QUICK_CHECKS if purpose.is_quick else CHECKS

    def run(self) -> None:
        """Look at everything and report it; nothing that is found ends it early."""
        self.inventory = inventory = self._take_inventory()
        if inventory is None:
            self._report_stranger()
        else:
            self._report(check_python(inventory), check_packages(inventory))
        self._report(
            *check_machine(
                inventory or own_inventory(),
                self._probe.wish.runs_path,
                self._purpose.terminal,
                is_quick=self._purpose.is_quick,
            )
        )
        if self._purpose.loads and inventory is not None and not self._probe.shadows:
            self._load()
        answers = self._probe.answers(self._poll)
        if inventory is not None:
            self._report_packages(inventory, answers)

    def _report(self, *checks: CheckReported) -> None:
        for check in checks:
            if check.check in self._names:
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

    def _take_inventory(self) -> Inventory | None:
        told = self._probe.inventory(self._poll)
        if told is None:
            return None
        # Remedies name the interpreter as the person did.
        return replace(read_inventory(told), executable=self._probe.wish.python)

    def _report_stranger(self) -> None:
        python = visible(self._probe.wish.python)
        self._report(
            failed(
                "python",
                f"{python} does not answer as Python 3.8 or later: {self._probe.last_words}",
                "the path of a Python interpreter, 3.8 or later",
                "name one: ecotui doctor --python PATH",
            )
        )

    def _report_packages(self, inventory: Inventory, answers: dict[str, Answer]) -> None:
        broken = {
            OWN_MODULE.get(check, "torch")
            for check, answer in answers.items()
            if answer.seen is None
        }
        self._report(
            check_shadowing(inventory, self._probe.shadows, broken),
            check_interpreter(inventory, is_own=self._is_own),
            check_records(inventory),
            check_conda(inventory),
            check_pillow(inventory),
            check_opencv(inventory),
            check_pair(inventory),
        )
        wish = self._probe.wish
        for check in GOALS:
            if check in self._names:
                self._report(judged(check, answers, inventory, wish.device, wish.model))

    def _load(self) -> None:
        """Import what training needs, never before a child has survived it.

        What goes wrong here went wrong in the child, too, and is told from there.
        """
        logging.captureWarnings(True)
        try:
            with FollowingImports(self._probe, self._poll):
                for name in IMPORTS:
                    importlib.import_module(name)
        except LeaderLostError:
            return
        except Exception as error:
            logging.getLogger(__name__).warning("%s: %s", type(error).__name__, visible(error))

"""Layers 2 and 3: will this run start and mean something?

Runs the checks of `ecotui.engine.checks` in order, within a budget, and states what they
found: the worst first, and four sentences first when all is well. Everything that they touch
is put back: with and without preflight, training gives the same bits.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ecotui.engine.checks.augmentation import check_augmentation_strength
from ecotui.engine.checks.batches import (
    check_class_mapping,
    check_labels,
    check_loader,
    check_validation_order,
)
from ecotui.engine.checks.colours import check_channel_order, check_normalisation
from ecotui.engine.checks.evaluation import check_batch_of_one, check_evaluation
from ecotui.engine.checks.finding import Finding, failed, noted, passed, summary_of
from ecotui.engine.checks.loop import check_optimizer_step, check_overfit
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.passes import check_first_pass
from ecotui.engine.checks.previews import write_previews
from ecotui.engine.checks.record import Record
from ecotui.engine.checks.transforms import (
    check_evaluation_transform,
    check_image_size,
    check_keyed_augmentation,
    check_output,
    check_samples,
)
from ecotui.engine.emit import Emit, span
from ecotui.errors import EcoError, ExitCode
from ecotui.preflight_register import CHECKS
from ecotui.text import counted, listed, visible

MAX_UNREADABLE_FRACTION = 0.20
"""Source: the founding notebook's limit for skipped data, above which it is bad."""


MORE_TIME = "preflight.budget_seconds = 600 gives more time"


@dataclass(frozen=True, slots=True)
class Check:
    """One piece of work that gives the verdicts of one or more checks.

    Attributes:
        names: Of the checks, as in the register.
        run: Gives their findings.
        needs: Names of checks on which it builds: where one has failed it is left out.
    """

    names: tuple[str, ...]
    run: Callable[[Material], Iterable[Finding]]
    needs: tuple[str, ...] = ()


PICTURES = ("samples",)
INPUTS = (*PICTURES, "image_size", "transform_output")
BATCHES = (*INPUTS, "loader", "labels")
PASSES = (*BATCHES, "output_shape", "batch_of_one")
STEPS = (*PASSES, "first_batch", "finite_numbers", "precision", "gradients")

SEQUENCE = (
    Check(("samples",), check_samples),
    Check(("image_size",), check_image_size, PICTURES),
    Check(("transform_output",), check_output, (*PICTURES, "image_size")),
    Check(("channel_order",), check_channel_order, INPUTS),
    Check(("normalisation",), check_normalisation, INPUTS),
    Check(("evaluation_transform",), check_evaluation_transform, INPUTS),
    Check(("keyed_augmentation",), check_keyed_augmentation, INPUTS),
    Check(("augmentation_strength",), check_augmentation_strength, INPUTS),
    Check(("class_mapping",), check_class_mapping),
    Check(("loader",), check_loader, INPUTS),
    Check(("validation_order",), check_validation_order, (*INPUTS, "loader")),
    Check(("labels",), check_labels, (*INPUTS, "loader")),
    Check(
        ("output_shape", "repeatable_evaluation", "batch_independence"), check_evaluation, BATCHES
    ),
    Check(("batch_of_one",), check_batch_of_one, BATCHES),
    Check(
        ("finite_numbers", "precision", "memory", "initial_loss", "gradients"),
        check_first_pass,
        PASSES,
    ),
    Check(("optimizer_step",), check_optimizer_step, STEPS),
    Check(("overfit",), check_overfit, (*STEPS, "optimizer_step")),
)
"""In the order in which they are done: what others build on first, what takes long last."""

FIRST_TOLD = ("transforms", "first_batch", "image_size", "output_shape")
"""The four sentences for when all is well, in this order."""

ESSENTIAL = {"transforms": "transform_output", "first_batch": "finite_numbers"}
"""Without the verdict of this check, its layer is not said to have passed."""


def preflight(material: Material, emit: Emit, record: Record) -> None:
    """Check transforms, first batches, model and loop.

    Args:
        material: The run, what to check, and for how long.
        emit: Where the verdicts go.
        record: Is given what was found; written to the run's `preflight.json`.

    Raises:
        EcoError: A check failed; exit code 3.
        OSError: The run directory cannot be written.

    Emits:
        StageStarted, StageAdvanced, StageFinished, CheckReported, PreviewWritten.
    """
    Examination(material, emit, record).run()


class Examination:
    """The checks of one run, done in order.

    Args:
        material: The run.
        emit: Where the verdicts go.
        record: Is given what was found.
    """

    def __init__(self, material: Material, emit: Emit, record: Record) -> None:
        self._material, self._emit = material, emit
        self._config = material.config
        self.record = record
        self._found: dict[str, Finding] = {}
        self._out_of_time: list[str] = []

    def run(self) -> None:
        """Do all checks, state what they found, and raise where one failed."""
        material = self._material
        with span(self._emit, "preflight", total=len(SEQUENCE) + 1, unit="checks") as stage:
            try:
                material.take_samples("train")
                material.take_samples("val")
                stage.advance()
                for check in SEQUENCE:
                    material.poll()
                    self._do(check)
                    stage.advance()
                self._write_previews()
                self._tell()
            finally:
                self.record.write(material.run.preflight, material.budget.spent)
            self._raise_first_failure()

    def _do(self, check: Check) -> None:
        names = [name for name in check.names if not self._is_unwanted(name)]
        for name in set(check.names) - set(names):
            self.record.skip(name, "left out by preflight.skip")
        broken = [need for need in check.needs if self._has_failed(need)]
        if not names or broken or not self._material.budget.left:
            for name in names:
                why = f"{broken[0]} failed" if broken else "there was no time left"
                self.record.skip(name, why)
            self._out_of_time += [] if broken else names
            return
        started = time.monotonic()
        for finding in self._findings(check):
            if not self._is_unwanted(finding.check):
                self._take(finding, time.monotonic() - started)
                started = time.monotonic()

    def _findings(self, check: Check) -> Iterable[Finding]:
        """Return what a check found; that it cannot be done is a finding, too."""
        try:
            yield from check.run(self._material)
        except EcoError:
            raise
        except Exception as error:
            traceback.print_exc()  # into engine.log
            name = check.names[0]
            yield failed(
                name,
                f"the check cannot be done: {type(error).__name__}: {visible(error, limit=300)}",
                "transforms and a model that take what they are made for",
                f"see engine.log; to go on without it: --set 'preflight.skip=[\"{name}\"]'",
            )

    def _is_unwanted(self, name: str) -> bool:
        return bool({name, summary_of(CHECKS[name].layer)} & set(self._config.skip))

    def _has_failed(self, name: str) -> bool:
        return name in self._found and self._found[name].verdict == "fail"

    def _take(self, finding: Finding, seconds: float) -> None:
        """Keep a verdict, and state at once what is no pass."""
        is_accepted = finding.check in self._config.accept
        if is_accepted and finding.verdict == "warn":
            finding = replace(finding, verdict="note", what=f"accepted: {finding.what}")
        elif is_accepted and finding.verdict == "fail":
            finding = replace(finding, remedy=f"{finding.remedy}; an error cannot be accepted")
        self._found[finding.check] = finding
        self.record.add(finding, seconds, accepted=is_accepted and finding.verdict == "note")
        if finding.verdict != "pass":
            self._emit(finding.as_event())

    def _write_previews(self) -> None:
        if "previews" in self._config.skip:
            self.record.skip("previews", "left out by preflight.skip")
        else:
            write_previews(self._material, self._emit)

    def _tell(self) -> None:
        """State what passed, the four sentences that sum it up first."""
        if num := self._material.num_unsampled:
            done = len(self._material.all_samples)
            self.record.shorten(
                f"checks: {num} of the photos to be read one by one; {done} were. {MORE_TIME}"
            )
        if self._out_of_time:
            names = listed(self._out_of_time, limit=20)
            self.record.shorten(f"checks: {names}. {MORE_TIME}")
            self._take(
                noted(
                    "budget",
                    f"there was no time for {names}; --set preflight.budget_seconds=... gives more",
                    left_out=tuple(self._out_of_time),
                ),
                0.0,
            )
        if not any(self._has_failed(name) for name in self._found):
            for finding in filter(None, (self._summed_up(2), self._summed_up(3))):
                self._found[finding.check] = finding
                self.record.add(finding, 0.0)
        passes = {name: each for name, each in self._found.items() if each.verdict == "pass"}
        for name in (*FIRST_TOLD, *(name for name in passes if name not in FIRST_TOLD)):
            if name in passes:
                self._emit(passes[name].as_event())

    def _summed_up(self, layer: int) -> Finding | None:
        """Return the sentence that a layer has passed; None where it was not looked at."""
        name = summary_of(layer)
        if ESSENTIAL[name] not in self._found:
            return None
        warnings = sum(
            each.verdict == "warn"
            for each in self._found.values()
            if CHECKS[each.check].layer == layer
        )
        told = {"transforms": "transform validation", "first_batch": "pre-training sanity check"}
        suffix = f", with {counted(warnings, 'warning')}" if warnings else ""
        return passed(name, f"{told[name]} passed{suffix}", num_warnings=warnings)

    def _raise_first_failure(self) -> None:
        for finding in self._found.values():
            if finding.verdict == "fail":
                raise EcoError(finding.what, finding.expected, finding.remedy, ExitCode.PREFLIGHT)

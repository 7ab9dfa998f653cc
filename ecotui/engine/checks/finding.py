"""What a check found, with the figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecotui.findings import CheckReported, Verdict
from ecotui.preflight_register import CHECKS, SUMMARIES

Figure = bool | int | float | str | None
FigureValue = Figure | tuple[Figure, ...]
Figures = Mapping[str, FigureValue]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of a check.

    Attributes:
        check: Its name in the register.
        verdict: Passed, worth a note, a warning, or a failure that ends the run.
        what: What was seen, in a sentence, fit to be shown.
        expected: What should have been seen; empty where it passed.
        remedy: The setting that mends it, as `--set key=value` where there is one.
        figures: What was measured, for `preflight.json`.
    """

    check: str
    verdict: Verdict
    what: str
    expected: str = ""
    remedy: str = ""
    figures: Figures = field(default_factory=dict)

    def as_event(self) -> CheckReported:
        """Return the finding as the event that states it."""
        subject = CHECKS[self.check]
        is_bad = self.verdict in ("warn", "fail")
        return CheckReported(
            check=self.check,
            layer=subject.layer,
            verdict=self.verdict,
            what=self.what,
            expected=self.expected,
            remedy=self.remedy,
            why=subject.why if is_bad else "",
            part_of="" if self.check in SUMMARIES else summary_of(subject.layer),
        )


def summary_of(layer: int) -> str:
    """Return the name of the check that sums a layer up."""
    return "transforms" if layer == 2 else "first_batch"


def passed(check: str, what: str, **figures: FigureValue) -> Finding:
    """Return that nothing is wrong."""
    return Finding(check, "pass", what, figures=figures)


def noted(check: str, what: str, **figures: FigureValue) -> Finding:
    """Return that there is nothing to judge, and why."""
    return Finding(check, "note", what, figures=figures)


def warned(check: str, what: str, expected: str, remedy: str, **figures: FigureValue) -> Finding:
    """Return that the run may suffer."""
    return Finding(check, "warn", what, expected, remedy, figures)


def failed(check: str, what: str, expected: str, remedy: str, **figures: FigureValue) -> Finding:
    """Return that the run cannot mean anything as it is."""
    return Finding(check, "fail", what, expected, remedy, figures)

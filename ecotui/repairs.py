"""Events of mending an environment: the plan, what was run, and whether it helped."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event, Record

RepairOutcome = Literal["nothing_to_do", "planned", "mended", "better", "rolled_back", "stuck"]
"""`planned`: told and not done. `mended`: every check passes now. `better`: fewer fail than
before. `rolled_back`: it failed or made things worse, and the packages are as they were.
`stuck`: it failed, and not everything could be put back."""


class RepairStep(Record):
    """One command of a repair."""

    argv: tuple[str, ...]
    why: str
    """Which findings it mends, in words."""
    checks: tuple[str, ...]
    """Names of the checks that should pass afterwards."""


class RepairPlanned(Event):
    """What would mend the environment; nothing is changed yet."""

    kind: Literal["repair_planned"] = "repair_planned"
    python: str
    """The interpreter whose packages are meant."""
    steps: tuple[RepairStep, ...]
    packages_before: tuple[str, ...]
    """Each package that a step may change, as `name==version`; those to be put back."""
    refusal: str = ""
    """Why nothing may be changed here, in words; empty where it may."""


class RepairStepStarted(Event):
    """A command of the plan runs now."""

    kind: Literal["repair_step_started"] = "repair_step_started"
    number: int
    """From 1."""
    argv: tuple[str, ...]


class RepairSaid(Event):
    """A line that the command printed."""

    kind: Literal["repair_said"] = "repair_said"
    line: str


class RepairFinished(Event):
    """The repair is over, and the environment was examined again."""

    kind: Literal["repair_finished"] = "repair_finished"
    outcome: RepairOutcome
    what: str
    """In words, for a person."""
    changed: tuple[str, ...]
    """Each package that is another now, as `name 1.2 -> 1.3`."""

"""How the mending of an environment goes, as a reader sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from ecotui.events import RepairFinished, RepairPlanned, RepairSaid, RepairStepStarted

Repairing = RepairPlanned | RepairStepStarted | RepairSaid | RepairFinished

MAX_SAID = 200
"""Lines of the commands kept; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair so far.

    Attributes:
        plan: What is to be run; None before it is known.
        step: The command that runs or ran last; None before the first.
        said: The last lines that the commands printed.
        end: How it ended; None until then.
    """

    plan: RepairPlanned | None = None
    step: RepairStepStarted | None = None
    said: tuple[str, ...] = ()
    end: RepairFinished | None = None


def repaired(repair: Repair, event: Repairing) -> Repair:
    """Return the repair after one more event."""
    match event:
        case RepairPlanned():
            return Repair(plan=event)
        case RepairStepStarted():
            return replace(repair, step=event)
        case RepairSaid():
            return replace(repair, said=(*repair.said, event.line)[-MAX_SAID:])
        case RepairFinished():
            return replace(repair, end=event)
        case _ as never:
            assert_never(never)

"""Incidents, rollbacks and the machine, as a reader sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from ecotui.healing import Care, IncidentRecorded, MachineMeasured, RunRolledBack
from ecotui.series import Series

MAX_INCIDENTS = 64


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done and measured so that the run stays sound.

    Attributes:
        incidents: That were looked into, oldest first, at most 64.
        num_incidents: All of them.
        rollback: The last one; None where there was none.
        machine: As it was measured last; None before.
        memory: Share of the host's memory in use, over the steps.
        engine_memory: Bytes that the engine and its workers use, over the steps.
    """

    incidents: tuple[IncidentRecorded, ...] = ()
    num_incidents: int = 0
    rollback: RunRolledBack | None = None
    machine: MachineMeasured | None = None
    memory: Series = Series()
    engine_memory: Series = Series()


def kept_up(upkeep: Upkeep, event: Care) -> Upkeep:
    """Return the upkeep after one more event."""
    match event:
        case IncidentRecorded():
            incidents = (*upkeep.incidents, event)[-MAX_INCIDENTS:]
            return replace(upkeep, incidents=incidents, num_incidents=upkeep.num_incidents + 1)
        case RunRolledBack():
            return replace(upkeep, rollback=event)
        case MachineMeasured():
            used, total = event.memory_used_bytes, event.memory_total_bytes
            share = used / total if used is not None and total else None
            engine = event.engine_memory_bytes
            return replace(
                upkeep,
                machine=event,
                memory=upkeep.memory.added(event.step, share),
                engine_memory=upkeep.engine_memory.added(
                    event.step, None if engine is None else float(engine)
                ),
            )
        case _ as never:
            assert_never(never)

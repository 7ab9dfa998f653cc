"""The open stages of a run, and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecotui.events import StageAdvanced


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far an open stage has come.

    Attributes:
        name: Of the stage.
        total: Units to come; 0 when unknown.
        unit: What is counted, in the plural.
        done: Units done.
        since: When it began, unix seconds; 0 where that is not known.
    """

    name: str
    total: int
    unit: str
    done: int = 0
    since: float = 0.0


def advanced(stages: tuple[StageProgress, ...], event: StageAdvanced) -> tuple[StageProgress, ...]:
    """Return the stages with one of them further on."""
    return tuple(
        replace(stage, done=event.done) if stage.name == event.stage else stage for stage in stages
    )


def closed(stages: tuple[StageProgress, ...], name: str) -> tuple[StageProgress, ...]:
    """Close the innermost stage of that name, and those within it."""
    for index in range(len(stages) - 1, -1, -1):
        if stages[index].name == name:
            return stages[:index]
    return stages

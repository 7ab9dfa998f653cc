"""What a run has shown of itself so far that its success is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ecotui.events import (
    AnyEvent,
    EpochFinished,
    Event,
    GuardTripped,
    RunResumed,
    StepsTaken,
    ValidationFinished,
)
from ecotui.healing import RunRolledBack

_NONFINITE = "nonfinite"
"""How the names of the guards begin that reject what is not finite."""


@dataclass(frozen=True, slots=True)
class Milestones:
    """Figures that later events would cover up.

    Attributes:
        first_loss: Of the first steps of the run, nats.
        first_epoch: The first epoch as it ended; None before.
        first_accuracy: Of its validation, 0 to 1.
        lost_fraction: Share of the last epoch's samples that could not be used.
        digest: Of the weights after the last epoch; empty where none was stated.
        inexact: How the first resumption that was not exact differed; empty where there was none.
        num_caught: Values that were not finite and were rejected before the update.
        num_let_through: Values stated of a step that was used, or of a validation, that
            were not finite.
    """

    first_loss: float | None = None
    first_epoch: EpochFinished | None = None
    first_accuracy: float | None = None
    lost_fraction: float | None = None
    digest: str = ""
    inexact: str = ""
    num_caught: int = 0
    num_let_through: int = 0


def reached(milestones: Milestones, event: AnyEvent) -> Milestones:
    """Return the milestones after one more event; the same object where it tells nothing new."""
    told = _TELLING.get(type(event))
    return milestones if told is None else told(milestones, event)


def _stepped(milestones: Milestones, event: StepsTaken) -> Milestones:
    if "loss" in event.nonfinite:
        return _let_through(milestones)
    if milestones.first_loss is None and event.loss is not None:
        return replace(milestones, first_loss=event.loss)
    return milestones


def _epoch_ended(milestones: Milestones, event: EpochFinished) -> Milestones:
    return replace(
        milestones,
        first_epoch=event if event.epoch == 1 else milestones.first_epoch,
        lost_fraction=event.lost_fraction,
        digest=event.weights_digest,
    )


def _validated(milestones: Milestones, event: ValidationFinished) -> Milestones:
    seen = _let_through(milestones) if "loss" in event.nonfinite else milestones
    is_first = event.split == "val" and event.epoch == 1
    return replace(seen, first_accuracy=event.accuracy) if is_first else seen


def _tripped(milestones: Milestones, event: GuardTripped) -> Milestones:
    if event.guard.startswith(_NONFINITE):
        return replace(milestones, num_caught=milestones.num_caught + 1)
    return milestones


def _rolled_back(milestones: Milestones, event: RunRolledBack) -> Milestones:
    return _gone_back(milestones, event.epoch)


def _resumed(milestones: Milestones, event: RunResumed) -> Milestones:
    if not milestones.inexact and event.exactness in ("E1", "E0"):
        milestones = replace(milestones, inexact=event.note)
    return _gone_back(milestones, event.epoch)


def _gone_back(milestones: Milestones, epoch: int) -> Milestones:
    if epoch >= 1:
        return milestones
    return replace(milestones, first_epoch=None, first_accuracy=None)


def _let_through(milestones: Milestones) -> Milestones:
    return replace(milestones, num_let_through=milestones.num_let_through + 1)


_TELLING: dict[type[Event], Callable[[Milestones, Any], Milestones]] = {
    StepsTaken: _stepped,
    EpochFinished: _epoch_ended,
    ValidationFinished: _validated,
    GuardTripped: _tripped,
    RunRolledBack: _rolled_back,
    RunResumed: _resumed,
}
"""What tells something new, by its type: pydantic's classes are slow to say `isinstance`."""

"""What a run has shown of itself so far that its success is measured by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecotui.events import (
    AnyEvent,
    EpochFinished,
    GuardTripped,
    RunResumed,
    StepsTaken,
    ValidationFinished,
)
from ecotui.healing import RunRolledBack

_NONFINITE = "nonfinite"
"""How the names of the guards begin that reject what is not finite."""
_TELLING_KINDS = frozenset(
    each.model_fields["kind"].default
    for each in (
        *(StepsTaken, EpochFinished, ValidationFinished),
        *(GuardTripped, RunRolledBack, RunResumed),
    )
)
"""Asked first: most events are told by their kind to be none of these, ten times as fast."""


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
    if event.kind not in _TELLING_KINDS:
        return milestones
    match event:
        case StepsTaken() if "loss" in event.nonfinite:
            return _let_through(milestones)
        case StepsTaken() if milestones.first_loss is None and event.loss is not None:
            return replace(milestones, first_loss=event.loss)
        case EpochFinished():
            first = event if event.epoch == 1 else milestones.first_epoch
            return replace(
                milestones,
                first_epoch=first,
                lost_fraction=event.lost_fraction,
                digest=event.weights_digest,
            )
        case ValidationFinished():
            seen = _let_through(milestones) if "loss" in event.nonfinite else milestones
            is_first = event.split == "val" and event.epoch == 1
            return replace(seen, first_accuracy=event.accuracy) if is_first else seen
        case GuardTripped() if event.guard.startswith(_NONFINITE):
            return replace(milestones, num_caught=milestones.num_caught + 1)
        case RunResumed():
            return _gone_back(_resumed(milestones, event), event.epoch)
        case RunRolledBack():
            return _gone_back(milestones, event.epoch)
        case _:
            return milestones


def _resumed(milestones: Milestones, event: RunResumed) -> Milestones:
    if milestones.inexact or event.exactness not in ("E1", "E0"):
        return milestones
    return replace(milestones, inexact=event.note)


def _gone_back(milestones: Milestones, epoch: int) -> Milestones:
    if epoch >= 1:
        return milestones
    return replace(milestones, first_epoch=None, first_accuracy=None)


def _let_through(milestones: Milestones) -> Milestones:
    return replace(milestones, num_let_through=milestones.num_let_through + 1)

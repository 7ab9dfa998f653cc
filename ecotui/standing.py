"""How a run stands beside its training: paused, saved or not, changed, resumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from ecotui.events import (
    CheckpointDropped,
    CheckpointVerified,
    ConfigChanged,
    FirstStepTaken,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    RunContinued,
    RunPaused,
    RunResumed,
    SavingFailed,
    SavingRestored,
)
from ecotui.healing import IncidentRecorded, RunRolledBack

MAX_CHANGES = 64
MAX_VERIFIED = 64
MAX_PARTS = 32

PlainTurn = CheckpointVerified | FirstStepTaken | RunContinued | RunPaused
"""What changes nothing else of a run."""

Turn = (
    PlainTurn
    | CheckpointDropped
    | ConfigChanged
    | LoaderRebuilt
    | RunResumed
    | SavingFailed
    | SavingRestored
)

Alert = (
    HealthAlerted
    | GuardTripped
    | GuardRecovered
    | SavingFailed
    | SavingRestored
    | LoaderRebuilt
    | RunResumed
    | IncidentRecorded
    | RunRolledBack
)
"""What a person should see of how the run fares, in the order it came."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What happened to the run, as far as it still matters.

    Attributes:
        paused: The pause it stands in, or None.
        not_saving: Why it cannot be saved, or None where it can.
        resumed: The last resumption, or None in a first attempt.
        changes: Of its settings, oldest first, at most 64.
        verified: Checkpoints that were read back and are sound, at most 64.
        rebuilt: The last time its loader was started anew, or None.
        first_step: How this attempt came to its first step, in at most 32 parts, or None.
    """

    paused: RunPaused | None = None
    not_saving: SavingFailed | None = None
    resumed: RunResumed | None = None
    changes: tuple[ConfigChanged, ...] = ()
    verified: tuple[str, ...] = ()
    rebuilt: LoaderRebuilt | None = None
    first_step: FirstStepTaken | None = None

    def anew(self) -> Standing:
        """Return what is left when a later attempt begins: the changes and what was verified."""
        return Standing(changes=self.changes, verified=self.verified)


def turned(standing: Standing, turn: Turn) -> Standing:
    """Return how the run stands after one more turn."""
    match turn:
        case RunPaused():
            return replace(standing, paused=turn)
        case RunContinued():
            return replace(standing, paused=None)
        case SavingFailed():
            return replace(standing, not_saving=turn)
        case SavingRestored():
            return replace(standing, not_saving=None)
        case RunResumed():
            return replace(standing, resumed=turn)
        case ConfigChanged():
            return replace(standing, changes=(*standing.changes, turn)[-MAX_CHANGES:])
        case LoaderRebuilt():
            return replace(standing, rebuilt=turn)
        case FirstStepTaken():
            first = turn.model_copy(update={"parts": turn.parts[:MAX_PARTS]})
            return replace(standing, first_step=first)
        case CheckpointVerified() | CheckpointDropped():
            others = tuple(path for path in standing.verified if path != turn.path)
            if isinstance(turn, CheckpointVerified) and turn.ok:
                others = (*others, turn.path)[-MAX_VERIFIED:]
            return replace(standing, verified=others)
        case _ as never:
            assert_never(never)

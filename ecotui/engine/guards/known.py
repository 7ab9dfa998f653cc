"""The names of all guards, by which they are silenced."""

from __future__ import annotations

from collections.abc import Iterable

from ecotui.engine.guards import (
    batch,
    epoch,
    gradient,
    loss,
    machine,
    memory,
    pace,
    stall,
    storage,
)
from ecotui.engine.guards.guard import Verdict
from ecotui.errors import UsageError
from ecotui.text import listed, nearest, visible

GUARDS = (
    batch.SAMPLES,
    batch.ERRORS,
    loss.NONFINITE,
    gradient.NONFINITE,
    epoch.FIRST_EPOCH,
    epoch.FALLING_LOSS,
    epoch.RISING_VALIDATION_LOSS,
    epoch.NONFINITE_VALIDATION,
    epoch.EARLY_STOPPING,
    stall.STALL,
    memory.FULL,
    memory.GROWTH,
    storage.ROOM,
    pace.THROUGHPUT,
    pace.STARVED,
    machine.FAULT,
    machine.HOT,
)
"""In the order of their layers, and what is watched beside them."""

_KEPT_OUT = frozenset({batch.ERRORS, loss.NONFINITE, gradient.NONFINITE})
"""Guards of a single step: what they reject has no gradients that could be used."""


def check_known(names: Iterable[str]) -> None:
    """Check that guards of these names exist.

    Raises:
        UsageError: One does not.
    """
    for name in names:
        if name not in GUARDS:
            close = nearest(name, GUARDS)
            raise UsageError(
                f"there is no guard '{visible(name, limit=80)}' (guards.silenced)",
                f"one of {listed(GUARDS, limit=len(GUARDS))}",
                f"did you mean {listed(close)}?" if close else "correct or remove it",
            )


def silenced(verdict: Verdict, names: Iterable[str]) -> Verdict:
    """Return what is left of a verdict where its guard is silenced: it is told, and no more.

    Silencing never lets the model be destroyed. A batch that failed, or whose loss or
    gradients are not finite, is still skipped: NaN would reach every weight, and
    there is nothing in it to learn from. But however many come in a row, the run
    goes on.
    """
    if verdict.guard not in names or verdict.action == "none":
        return verdict
    return verdict.quieted("skip_batch" if verdict.guard in _KEPT_OUT else "none")

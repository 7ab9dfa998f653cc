"""The names of all guards, by which they are silenced."""

from __future__ import annotations

from collections.abc import Iterable

from ecotui.alert_register import GUARDS as GUARD_ENTRIES
from ecotui.engine.guards import batch, epoch, gradient, loss
from ecotui.engine.guards.guard import Verdict
from ecotui.errors import UsageError
from ecotui.text import listed, nearest, visible

GUARDS = tuple(GUARD_ENTRIES)
"""In the order of their layers, and what is watched beside them."""

_KEPT_OUT = frozenset({batch.ERRORS, loss.NONFINITE, gradient.NONFINITE})
"""Guards of a single step: what they reject has no gradients that could be used."""
_NEEDED = frozenset({batch.INPUT, batch.MEMORY, batch.UPDATE, epoch.NONFINITE_STATE})
"""Guards without whose act there is nothing to go on with."""


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
    goes on. A broken state, an update that failed half way, an image that is not
    finite and a lack of memory leave nothing else to do either.
    """
    if verdict.guard not in names or verdict.action == "none" or verdict.guard in _NEEDED:
        return verdict
    return verdict.quieted("skip_batch" if verdict.guard in _KEPT_OUT else "none")

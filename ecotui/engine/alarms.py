"""What the watch has found and not yet seen the end of: each is told once, and once it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ecotui.config import RunConfig
from ecotui.engine.emit import Emit
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.known import silenced
from ecotui.events import GuardRecovered, Severity
from ecotui.guard_register import OVER

CALM_LOOKS = 3
"""Looks running without a finding before it counts as over."""
_RANKS: dict[Severity, int] = {"note": 0, "warning": 1, "critical": 2}


@dataclass(slots=True)
class _Open:
    """A finding that is not over."""

    verdict: Verdict
    num_calm: int = 0


class Alarms:
    """Tells findings as they begin, get worse and end; may be called from any thread.

    Args:
        emit: Where the facts go.
        pause: Asks for a checkpoint and a pause, with the reason.
        config: Gives the settings as they are, which change in mid-run.
        step: Gives the optimizer steps done.
    """

    def __init__(
        self,
        emit: Emit,
        pause: Callable[[str], None],
        config: Callable[[], RunConfig],
        step: Callable[[], int],
    ) -> None:
        self._emit = emit
        self._pause = pause
        self._config = config
        self._step = step
        self._open: dict[str, _Open] = {}
        self._guard = threading.Lock()

    def hear(self, guard: str, verdict: Verdict | None, *, calm_looks: int = CALM_LOOKS) -> bool:
        """Take in what a guard found at one look, and say whether it was news.

        Args:
            guard: Its name.
            verdict: None where it found nothing.
            calm_looks: Looks running without a finding before it counts as over.

        Emits:
            GuardTripped, GuardRecovered.
        """
        with self._guard:
            known = self._open.get(guard)
            if verdict is None:
                return known is not None and self._calm(guard, known, calm_looks)
            if known is not None and _RANKS[verdict.severity] <= _RANKS[known.verdict.severity]:
                # What was told stays the measure: a finding at its limit does not flicker.
                known.num_calm = 0
                return False
            self._open[guard] = _Open(verdict)
            self._act(verdict)
            return True

    def _calm(self, guard: str, known: _Open, calm_looks: int) -> bool:
        known.num_calm += 1
        if known.num_calm < calm_looks:
            return False
        del self._open[guard]
        verdict = known.verdict
        what = f"{OVER}{verdict.what}"
        step = self._step()
        self._emit(GuardRecovered(layer=verdict.layer, guard=guard, what=what, step=step))
        return True

    def _act(self, found: Verdict) -> None:
        config = self._config()
        verdict = silenced(found, config.guards.silenced)
        if verdict.action == "pause" and not config.watch.pauses:
            verdict = verdict.quieted("none")
        self._emit(verdict.tripped(self._step()))
        if verdict.action == "pause":
            self._pause(f"{verdict.what} ({verdict.guard})")

"""Symbol and colour of every verdict, severity, status and phase; the word always goes along."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from ecotui.events import Severity, Verdict
from ecotui.layers import LayerStatus
from ecotui.state import Phase


@dataclass(frozen=True, slots=True)
class Mark:
    """How something is marked: a symbol one cell wide, and a style of the theme."""

    symbol: str
    style: str

    def before(self, word: str) -> Content:
        """Return a word with the symbol before it, in the mark's colour."""
        return Content.styled(f"{self.symbol} {word}", self.style)


_QUIET = Mark("·", "$foreground-muted")
_GOOD = Mark("✓", "$text-success")
_CARE = Mark("!", "$text-warning")
_BAD = Mark("✗", "$text-error")

VERDICTS: dict[Verdict, Mark] = {"pass": _GOOD, "note": _QUIET, "warn": _CARE, "fail": _BAD}
SEVERITIES: dict[Severity, Mark] = {"note": _QUIET, "warning": _CARE, "critical": _BAD}
STATUSES: dict[LayerStatus, Mark] = {
    "idle": _QUIET,
    "watching": Mark("○", "$text-primary"),
    "passed": _GOOD,
    "acted": _CARE,
    "tripped": _BAD,
}
PHASES: dict[Phase, Mark] = {
    "setup": Mark("…", "$text-primary"),
    "running": Mark("▶", "$text-primary"),
    "finished": _GOOD,
    "stopped": Mark("■", "$text-warning"),
    "failed": _BAD,
    "lost": _BAD,
}
PAUSED = Mark("‖", "$text-warning")
RECOVERED = _GOOD
VERIFIED = _GOOD
SET_ASIDE = Mark("-", "$text-warning")
BEST = Mark("★", "$text-success")

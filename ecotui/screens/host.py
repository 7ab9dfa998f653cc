"""What screens and dialogs read of the app, and nothing else of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ecotui.actions.action import Situation
from ecotui.draft import Draft
from ecotui.errand_state import ErrandState
from ecotui.kept_starts import KeptStarts
from ecotui.log_lines import Lines
from ecotui.paths import RunDir
from ecotui.run_state import RunState
from ecotui.widgets.look import Look


class Host(Protocol):
    """The app, as screens see it; `EcoScreen.host` returns it.

    Attributes:
        run_state: The run as of the last batch of events; reactive, assigned once a batch.
        pending: What was asked of the engine and is not done yet, in words; reactive.
        errand: The short job under way or just done, None where there was none; reactive.
        draft: The config being prepared for a run, None where none is known; reactive.
        look: What may be drawn with.
        alerts: Every alert and sample set aside of the run shown, however many there are.
        runs_dir: Where runs are kept.
        kept_starts: Starts on folders of photos that came to nothing, with what was typed.
        visited: The runs that the screen visited last is about (`messages.Visit`).
    """

    run_state: RunState
    pending: str
    errand: ErrandState | None
    draft: Draft | None
    look: Look
    alerts: Lines
    runs_dir: Path
    kept_starts: KeptStarts
    visited: tuple[RunDir, ...]

    @property
    def run_dir(self) -> RunDir | None:
        """The directory of the run shown."""

    @property
    def situation(self) -> Situation:
        """What decides which actions are possible now."""

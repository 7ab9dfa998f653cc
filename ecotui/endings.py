"""The events that end a run; `ecotui.events` opens with a table of when each is stated."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event

TERMINAL_KINDS = frozenset({"run_finished", "run_stopped", "run_failed", "engine_lost"})
"""Nothing follows one of these in an attempt."""


class RunFinished(Event):
    """The job is done: all epochs, early stopping, or the step limit."""

    kind: Literal["run_finished"] = "run_finished"
    why: Literal["epochs", "early_stopping", "max_steps", "job"]
    epochs_done: int
    epochs_planned: int
    step: int
    best_checkpoint: str | None
    """Relative to the run directory."""
    seconds: float


class RunStopped(Event):
    """Stopped on request, with a checkpoint of this step."""

    kind: Literal["run_stopped"] = "run_stopped"
    reason: str
    epoch: int
    step: int
    checkpoint: str | None
    """Relative to the run directory; null where nothing had been trained yet."""
    exit_code: int = 75


class RunFailed(Event):
    """The run cannot go on; three lines for a person."""

    kind: Literal["run_failed"] = "run_failed"
    what: str
    expected: str
    remedy: str
    exit_code: int
    checkpoint: str | None
    """Last good one, relative to the run directory."""
    discard: bool
    """True when nothing was begun but preparations: the directory holds nothing worth keeping."""


class EngineLost(Event):
    """The engine is gone without a last word. Made by readers, never written."""

    kind: Literal["engine_lost"] = "engine_lost"
    last_words: tuple[str, ...]
    """The tail of engine.log."""
    checkpoint: str | None
    """Last committed one, relative to the run directory."""

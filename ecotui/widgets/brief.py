"""The run in a few words, for a terminal too small for anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from ecotui.text import visible
from ecotui.widgets.seen import Seen

if TYPE_CHECKING:
    from ecotui.run_state import RunState


class Brief(Static):
    """Phase, epoch, step, scores, pace and the last alert, the weightiest on top."""

    DEFAULT_CSS = "Brief { display: none; height: 1fr; width: 100%; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._seen = Seen()

    def show(self, state: RunState, pending: str, *, heading: str) -> None:
        """Show the run; without one, what to do about the terminal."""
        if self._seen.are_new(state, pending, heading):
            self.update(Content("\n").join(brief_lines(state, pending, heading)))


def brief_lines(state: RunState, pending: str, heading: str) -> list[Content]:
    """Return what matters most, a line each."""
    if not state.attempt:
        words = heading or "ecotui"
        return [Content(visible(words)), Content("needs 60 columns and 16 rows")]
    # The words for a run are needed once there is one.
    from ecotui.narration import pace, scores, step_limit
    from ecotui.widgets.status_line import phase_of

    lines = [phase_of(state)]
    if pending:
        lines.append(Content.styled(f"… {visible(pending)}", "$text-warning"))
    if state.epochs:
        steps = f"step {state.step_in_epoch}/{state.epoch_steps_planned}{step_limit(state)}"
        lines.append(Content(f"epoch {state.epoch}/{state.epochs_planned} {steps}"))
        lines.append(Content(visible(scores(state))))
    if state.epochs and state.ending is None:
        lines.append(Content(visible(pace(state))))
    lines.append(Content.styled(visible(state.run_id), "$foreground-muted"))
    return lines

"""The checkpoints there are, the best one first."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import DataTable

from ecotui.events import BestCheckpointChanged, CheckpointSaved
from ecotui.state import RunState
from ecotui.text import bytes_size, number, percent, visible
from ecotui.widgets.marks import BEST, VERIFIED


class CheckpointTable(DataTable[Text]):
    """Step, epoch, reason, size and whether it was read back; the best one with a star."""

    def __init__(self) -> None:
        super().__init__(cursor_type="none", zebra_stripes=False)
        self._shown: tuple[object, ...] = ()
        self.border_title = "Checkpoints"

    def on_mount(self) -> None:
        """Lay out the columns."""
        self.add_columns("step", "epoch", "reason", "size", "checked")

    def show(self, state: RunState) -> None:
        """Show the best one, then the others, newest first."""
        saved, best, verified = state.checkpoints, state.best, state.standing.verified
        shown = (saved, best, verified)
        if self._shown and all(a is b for a, b in zip(self._shown, shown, strict=True)):
            return
        self._shown = shown
        self.clear()
        if best is not None:
            self.add_row(*_best_cells(best))
        for each in reversed(saved):
            self.add_row(*_cells(each, is_verified=each.path in verified))


def _best_cells(best: BestCheckpointChanged) -> tuple[Text, ...]:
    figure = number(best.value) if best.metric == "loss" else percent(best.value)
    reason = f"{BEST.symbol} best, {visible(best.metric)} {figure}"
    cells = (f"{best.step:,}", str(best.epoch), reason, "", "")
    return tuple(Text(cell, style="bold") for cell in cells)


def _cells(saved: CheckpointSaved, *, is_verified: bool) -> tuple[Text, ...]:
    checked = f"{VERIFIED.symbol} read back" if is_verified else ""
    size = bytes_size(saved.num_bytes)
    cells = (f"{saved.step:,}", str(saved.epoch), saved.reason, size, checked)
    return tuple(Text(cell) for cell in cells)

"""The checkpoints there are, the best one first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rich.text import Text
from textual.message import Message
from textual.widgets import DataTable

from ecotui.actions.panels import CHECKPOINTS
from ecotui.events import BestCheckpointChanged, CheckpointSaved
from ecotui.state import RunState
from ecotui.text import bytes_size, number, percent, visible
from ecotui.widgets.marks import BEST, VERIFIED
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.seen import Seen

Wish = Literal["resume", "export", "delete"]
_COLUMNS = (("step", 9), ("epoch", 5), ("reason", 24), ("accuracy", 8), ("size", 8), ("state", 12))


class CheckpointTable(DataTable[Text]):
    """Step, epoch, reason, score, size and whether it was read back; the best one with a star."""

    BINDINGS = bindings_of(CHECKPOINTS)
    HELP = """
The best model, then what the run can go on from, newest first. read back: it was read from the
disk again and is sound. Enter goes on from the one under the cursor, once the run has ended; x
exports the best model; D removes the one under the cursor, after asking.
"""

    @dataclass
    class Wished(Message):
        """Something is to be done with a checkpoint.

        Attributes:
            wish: What.
            path: Relative to the run directory.
            is_best: Whether it is the best model, which no run goes on from.
        """

        wish: Wish
        path: str
        is_best: bool

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(cursor_type="row", zebra_stripes=False, id=id)
        self._seen = Seen()
        self._rows: list[tuple[str, bool]] = []
        self.border_title = "Checkpoints · Enter resumes, x exports the best, D deletes"

    def on_mount(self) -> None:
        """Lay out the columns."""
        for name, width in _COLUMNS:
            self.add_column(name, width=width)

    def show(self, state: RunState, sizes: Mapping[str, int] | None = None) -> None:
        """Show the best one, then the others, newest first.

        Args:
            state: Of the run.
            sizes: Bytes of those that are on the disk, by path; None where nobody looked.
        """
        saved, best, verified = state.checkpoints, state.best, state.standing.verified
        if not self._seen.are_new(saved, best, verified, state.val_accuracy, sizes):
            return
        at, chosen = self.cursor_row, self._chosen
        self.clear()
        self._rows = []
        if best is not None:
            self._rows.append((best.path, True))
            self.add_row(*_best_cells(best, sizes))
        for each in reversed(saved):
            self._rows.append((each.path, False))
            self.add_row(*_cells(each, state, sizes, is_verified=each.path in verified))
        # Newer ones come in above: the cursor stays on its checkpoint, not on its line.
        row = self._rows.index(chosen) if chosen in self._rows else at
        self.move_cursor(row=min(row, max(0, len(self._rows) - 1)))

    def action_resume(self) -> None:
        """Ask to go on from the checkpoint under the cursor."""
        self._wish("resume")

    def action_export(self) -> None:
        """Ask for the best model in another form."""
        self._wish("export")

    def action_delete(self) -> None:
        """Ask for the checkpoint under the cursor to be removed."""
        self._wish("delete")

    @property
    def _chosen(self) -> tuple[str, bool] | None:
        """Path of the checkpoint under the cursor, and whether it is the best model."""
        at = self.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def _wish(self, wish: Wish) -> None:
        if self._chosen is not None:
            path, is_best = self._chosen
            self.post_message(self.Wished(wish, path, is_best))


def _best_cells(best: BestCheckpointChanged, sizes: Mapping[str, int] | None) -> tuple[Text, ...]:
    figure = number(best.value) if best.metric == "loss" else percent(best.value)
    reason = f"{BEST.symbol} best, {visible(best.metric)} {figure}"
    size = "" if sizes is None or best.path not in sizes else bytes_size(sizes[best.path])
    state = "removed" if sizes is not None and best.path not in sizes else "to export"
    cells = (f"{best.step:,}", str(best.epoch), reason, percent(best.accuracy), size, state)
    return tuple(Text(cell, style="bold") for cell in cells)


def _cells(
    saved: CheckpointSaved,
    state: RunState,
    sizes: Mapping[str, int] | None,
    *,
    is_verified: bool,
) -> tuple[Text, ...]:
    is_gone = sizes is not None and saved.path not in sizes
    checked = "removed" if is_gone else f"{VERIFIED.symbol} read back" if is_verified else ""
    scores = [value for step, value in state.val_accuracy.points if step == saved.step]
    score = percent(scores[-1]) if scores else ""
    size = bytes_size(saved.num_bytes)
    cells = (f"{saved.step:,}", str(saved.epoch), saved.reason, score, size, checked)
    return tuple(Text(cell, style="dim" if is_gone else "") for cell in cells)

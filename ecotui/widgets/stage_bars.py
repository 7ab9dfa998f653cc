"""Bars: how far the run, the epoch and the stage are, with their figures beside them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from ecotui.narration import pace, scores
from ecotui.state import RunState, StageProgress
from ecotui.text import number, percent, visible
from ecotui.widgets.bar import Bar

PARTS = ("validate", "test")
"""Stages within training that have a bar of their own."""


class BarRow(Horizontal):
    """A name, a bar and a remark on one line."""

    DEFAULT_CSS = """
    BarRow { height: 1; padding: 0 1; }
    BarRow .name { width: 15; text-overflow: ellipsis; text-wrap: nowrap; }
    BarRow Bar { width: 1fr; }
    BarRow .note { width: 42; padding-left: 2; text-overflow: ellipsis; text-wrap: nowrap; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the name, the bar and the remark."""
        yield Static("", classes="name", markup=False)
        yield Bar()
        yield Static("", classes="note", markup=False)

    def show(self, name: str, done: float, total: float | None, note: str) -> None:
        """Show how far something is; a total of None is one that nobody knows."""
        shown = (name, done, total, note)
        if shown == self._shown:
            return
        self._shown = shown
        self.query_one(".name", Static).update(Content(visible(name)))
        self.query_one(".note", Static).update(Content(visible(note)))
        self.query_one(Bar).show(done, total)


class StageBar(BarRow):
    """How far the innermost stage is, or which preparation is under way."""

    def show_stage(self, state: RunState) -> None:
        """Show the open stage, the preparation, or nothing."""
        stage = state.stage
        self.display = state.ending is None and (stage is not None or bool(state.doing))
        if stage is not None:
            self.show(stage.name, stage.done, stage.total or None, _units(stage))
        elif state.doing:
            self.show("preparing", 0, None, state.doing)


class StageBars(Vertical):
    """Epochs, steps, and the validation or test."""

    DEFAULT_CSS = "StageBars { height: 3; }"

    def compose(self) -> ComposeResult:
        """Lay out three bars."""
        yield BarRow(id="epochs")
        yield BarRow(id="steps")
        yield BarRow(id="part")

    def show(self, state: RunState) -> None:
        """Show loss and accuracy with the epochs, pace with the steps, scores with the last."""
        share = state.step_in_epoch / state.epoch_steps if state.epoch_steps else 0.0
        self.query_one("#epochs", BarRow).show(
            f"Epoch {state.epoch}/{state.epochs}",
            max(0.0, state.epoch - 1 + share),
            max(1, state.epochs),
            scores(state),
        )
        self.query_one("#steps", BarRow).show(
            f"Step {state.step_in_epoch}/{state.epoch_steps}",
            state.step_in_epoch,
            max(1, state.epoch_steps),
            pace(state) if state.ending is None else "",
        )
        self._show_part(state)

    def _show_part(self, state: RunState) -> None:
        row = self.query_one("#part", BarRow)
        stage = state.stage
        if stage is not None and stage.name in PARTS:
            row.show(stage.name.capitalize(), stage.done, stage.total or None, _units(stage))
            return
        seen = state.test or state.validation
        name = "Test" if state.test is not None else "Validation"
        if seen is None:
            row.show(name, 0, 1, "after each epoch")
        else:
            note = f"accuracy {percent(seen.accuracy)}, macro F1 {number(seen.macro_f1)}"
            row.show(name, 1, 1, note)


def _units(stage: StageProgress) -> str:
    of = f" of {stage.total:,}" if stage.total else ""
    return f"{stage.done:,}{of} {stage.unit}"

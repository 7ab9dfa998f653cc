"""Bars: how far the run, the epoch and the stage are, with their figures beside them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from ecotui.narration import epochs_done
from ecotui.state import RunState, StageProgress
from ecotui.text import duration, number, percent, visible
from ecotui.widgets.bar import Bar

PARTS = ("validate", "test")
"""Stages within training that have a bar of their own."""


class BarRow(Horizontal):
    """A name, a bar and a remark on one line."""

    DEFAULT_CSS = """
    BarRow { height: 1; padding: 0 1; }
    BarRow .name { width: 15; height: 1; text-overflow: ellipsis; text-wrap: nowrap; }
    BarRow Bar { width: 1fr; }
    BarRow .note { width: 42; height: 1; padding-left: 2; text-overflow: ellipsis;
        text-wrap: nowrap; }
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
        self.query_one(".name", Static).update(Content(visible(name)), layout=False)
        self.query_one(".note", Static).update(Content(visible(note)), layout=False)
        self.query_one(Bar).show(done, total)


class StageBar(BarRow):
    """How far the innermost stage is, or which preparation is under way."""

    def show_stage(self, state: RunState) -> None:
        """Show the open stage, the preparation, or nothing."""
        stage = state.stage
        self.display = state.ending is None and (stage is not None or bool(state.doing))
        if stage is not None and stage.name == "train":  # whose steps are told by other events
            total = f" of {state.steps_planned:,}" if state.steps_planned else ""
            steps = f"{state.step:,}{total} steps"
            self.show(stage.name, state.step, state.steps_planned or None, steps)
        elif stage is not None:
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
        """Show the time left with the epochs, the pace with the steps, scores with the last."""
        is_going = state.ending is None
        self.query_one("#epochs", BarRow).show(
            f"Epoch {state.epoch}/{state.epochs_planned}",
            *epochs_done(state),
            _whole_left(state) if is_going else "",
        )
        self.query_one("#steps", BarRow).show(
            f"Step {state.step_in_epoch}/{state.epoch_steps_planned}",
            state.step_in_epoch,
            max(1, state.epoch_steps_planned),
            _epoch_pace(state) if is_going else "",
        )
        self._show_part(state)

    def _show_part(self, state: RunState) -> None:
        row = self.query_one("#part", BarRow)
        stage = state.stage
        if stage is not None and stage.name in PARTS:
            note = f"{_units(stage)}{_stage_pace(stage, state.heard_at)}"
            row.show(stage.name.capitalize(), stage.done, stage.total or None, note)
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


def _whole_left(state: RunState) -> str:
    left, limit = state.seconds_left, state.step_limit
    if limit is not None:
        ends = f"ends at step {limit:,}"
        return ends if left is None else f"{duration(left)} left, {ends}"
    return "" if left is None else f"{duration(left)} left of the run"


def _epoch_pace(state: RunState) -> str:
    """Return images a second, and the time left of the epoch, at the pace of the whole run."""
    speed = "?" if state.images_per_second is None else f"{state.images_per_second:,.0f}"
    left, steps = state.seconds_left, state.steps_planned - state.step
    if left is None or steps <= 0:
        return f"{speed} images/s"
    of_epoch = left / steps * max(0, state.epoch_steps_planned - state.step_in_epoch)
    return f"{speed} images/s, {duration(of_epoch)} left"


def _stage_pace(stage: StageProgress, now: float) -> str:
    """Return units a second and the time left of a stage, once anything of it is done."""
    seconds = now - stage.since
    if not stage.since or not stage.done or seconds <= 0:
        return ""
    left = (stage.total - stage.done) * seconds / stage.done
    told = f", {duration(left)} left" if stage.total > stage.done else ""
    return f", {stage.done / seconds:,.0f}/s{told}"

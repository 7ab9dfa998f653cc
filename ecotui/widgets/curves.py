"""The curves of a run: loss, accuracy, macro F1 and learning rate, on the same steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from ecotui.actions.panels import CURVES
from ecotui.series import Series
from ecotui.text import counted
from ecotui.widgets.metric_chart import WHOLE, ChartView, MetricChart
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.seen import Seen

if TYPE_CHECKING:
    from ecotui.run_state import RunState

Figure = Literal["loss", "accuracy", "macro_f1", "learning_rate"]
FIGURES: tuple[Figure, ...] = ("loss", "accuracy", "macro_f1", "learning_rate")
_FEW_ROWS = 12
"""Below this, two charts one beside the other are all that can be read."""
_FEW_COLUMNS = 56


class Curves(Container, can_focus=True):
    """Charts of a run, all on the same steps; keys act on all of them.

    Args:
        figures: Which, in order.
        has_hint: Whether a line below says what is looked at and which keys change it.
    """

    DEFAULT_CSS = """
    Curves { height: 1fr; layout: vertical; }
    Curves > .charts { layout: grid; grid-size: 2; grid-gutter: 0 1; height: 1fr; }
    Curves > .charts.-one { grid-size: 1; }
    Curves > .hint { height: 1; color: $foreground-muted; text-wrap: nowrap;
        text-overflow: ellipsis; padding: 0 1; }
    Curves MetricChart { height: 100%; border-top: solid $primary-muted;
        border-title-color: $text-primary; padding: 0 1; }
    Curves:focus MetricChart { border-top: heavy $accent; }
    """
    BINDINGS = bindings_of(CURVES)
    HELP = """
The figures of the run over its optimizer steps: dots are training, o marks are validations.
+ and - take half the steps and twice as many, left and right go to earlier and later ones, f
follows the newest, 0 shows the whole run. x is the logarithmic scale of loss and learning rate,
w smooths what was measured in training, v shows one chart after the other alone.
"""

    def __init__(
        self,
        figures: tuple[Figure, ...] = FIGURES,
        *,
        has_hint: bool = True,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._figures = figures
        self._has_hint = has_hint
        self._view = WHOLE
        self._alone: int | None = None
        self._parts: dict[Figure, tuple[Series, Series]] = {}
        self._seen = Seen()
        self._run_id = ""
        self.border_title = "Charts"

    def compose(self) -> ComposeResult:
        """Lay out a chart a figure, and the hint."""
        with Container(classes="charts"):
            for figure in self._figures:
                yield _chart(figure)
        if self._has_hint:
            yield Static("", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Choose what there is room for, and show what was given before."""
        self._choose()
        self._draw()

    def show(self, state: RunState) -> None:
        """Show the curves of a run; those of another one are looked at whole again."""
        if state.run_id and state.run_id != self._run_id:
            self._run_id, self._view, self._alone = state.run_id, WHOLE, None
            self._seen.forget()
            if self.is_mounted:
                self._choose()
        parts: dict[Figure, tuple[Series, Series]] = {
            "loss": (state.train_loss, state.val_loss),
            "accuracy": (state.train_accuracy, state.val_accuracy),
            "macro_f1": (Series(), state.macro_f1),
            "learning_rate": (state.learning_rates, Series()),
        }
        if self._seen.are_new(*(each for pair in parts.values() for each in pair)):
            self._parts = parts
            self._draw()

    def copy_text(self) -> str:
        """Return every point as a line: figure, where it was measured, step, value."""
        lines = ["figure\tmeasured in\tstep\tvalue"]
        for name, (train, val) in self._parts.items():
            for place, series in (("training", train), ("validation", val)):
                lines += [f"{name}\t{place}\t{step}\t{value:.6g}" for step, value in series.points]
        return "\n".join(lines)

    def on_resize(self) -> None:
        """Show as many charts as can be read."""
        self._choose()

    def _span(self) -> tuple[int, int]:
        steps = [s for pair in self._parts.values() for each in pair for s, _ in each.points]
        return (min(steps), max(steps)) if steps else (0, 0)

    def _draw(self) -> None:
        span = self._span()
        # None of them is there before this is mounted; `on_mount` comes back.
        for figure, chart in zip(self._figures, self.query(MetricChart), strict=False):
            train, val = self._parts.get(figure, (Series(), Series()))
            chart.show(train, val, self._view, span)
        self._hint(span)

    def _choose(self) -> None:
        """Show the chart chosen alone, or all that there is room for."""
        charts = list(self.query(MetricChart))
        room = self.size.height - self._has_hint
        is_low, is_narrow = room < _FEW_ROWS, self.size.width < _FEW_COLUMNS
        most = (1 if is_narrow else 2) if is_low else len(charts)
        for at, chart in enumerate(charts):
            chart.display = at == self._alone if self._alone is not None else at < most
        num_shown = sum(chart.display for chart in charts)
        is_one = num_shown == 1 or is_narrow
        self.query_one(".charts").set_class(is_one, "-one")

    def _hint(self, span: tuple[int, int]) -> None:
        if not self._has_hint or not self.is_mounted:
            return
        view = self._view
        start, end = view.range_of(*span)
        parts = [
            "whole" if not view.zoom else f"{counted(end - start, 'step')}",
            "following" if view.end is None else f"to step {end:,}",
            "log" if view.is_log else "linear",
            f"smoothed {view.smoothing:g}" if view.smoothing else "raw",
        ]
        keys = "+-0 zoom x log w smooth f follow v one"
        self.query_one(".hint", Static).update(Content(f"{', '.join(parts)}  {keys}"))

    # What the keys do -----------------------------------------------------------------------------

    def action_zoom_by(self, by: int) -> None:
        """Look at half the steps, or at twice as many."""
        self._look(self._view.zoomed(by))

    def action_whole(self) -> None:
        """Look at the whole run."""
        self._look(replace(self._view, zoom=0, end=None))

    def action_move(self, by: int) -> None:
        """Look at earlier or later steps."""
        self._look(self._view.moved(by, *self._span()))

    def action_follow_newest(self) -> None:
        """Stay with the newest step."""
        self._look(replace(self._view, end=None))

    def action_log_scale(self) -> None:
        """Draw on a logarithmic scale, or not."""
        self._look(replace(self._view, is_log=not self._view.is_log))

    def action_smooth(self) -> None:
        """Smooth more, and then not at all."""
        self._look(self._view.smoother())

    def action_alone(self) -> None:
        """Show the next chart alone, and after the last one all of them."""
        at = 0 if self._alone is None else self._alone + 1
        self._alone = at if at < len(self._figures) else None
        self._choose()

    def _look(self, view: ChartView) -> None:
        self._view = view
        self._draw()


def _chart(figure: Figure) -> MetricChart:
    match figure:
        case "loss":
            return MetricChart("Loss", is_fraction=False)
        case "accuracy":
            return MetricChart("Accuracy", is_fraction=True)
        case "macro_f1":
            return MetricChart("Macro F1", is_fraction=False)
        case "learning_rate":
            return MetricChart("Learning rate", is_fraction=False, digits=None)

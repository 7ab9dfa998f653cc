"""One figure of several runs over their epochs, each run a symbol of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from ecotui.text import number, percent, visible
from ecotui.widgets.runs import joined

SYMBOLS = "ox+*#@%&"
"""In ASCII and in one colour the runs differ as much as anywhere."""
STYLES = ("$text-primary", "$text-success", "$text-warning", "$text-error", "$text-accent")
_LABEL_CELLS = 8
_FLAT_MARGIN = 0.1

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure of one run.

    Attributes:
        name: Of the run: foreign text.
        points: Epoch and value, in order.
    """

    name: str
    points: tuple[Point, ...]


class OverlayChart(Widget):
    """Curves over one another, with a line of legend each."""

    HELP = "Each run is drawn with a symbol of its own; the legend says which, and its last value."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="panel")
        self.can_focus = True
        self._curves: tuple[Curve, ...] = ()
        self._is_share = True

    def show(self, title: str, curves: Sequence[Curve], *, is_share: bool) -> None:
        """Show curves of one figure.

        Args:
            title: What it is.
            curves: One a run.
            is_share: Whether values are shares, 0 to 1, told in percent.
        """
        self.border_title = title
        self._curves, self._is_share = tuple(curves), is_share
        self.refresh()

    def render(self) -> Content:
        """Draw the plot in the room there is."""
        legend = [self._legend(place, curve) for place, curve in enumerate(self._curves)]
        width, height = self.size.width - _LABEL_CELLS, self.size.height - len(legend) - 1
        points = [point for curve in self._curves for point in curve.points]
        if not points or width < 8 or height < 2:
            return Content("\n").join([*legend, Content("nothing measured yet")])
        (first, last), (low, high) = _ranges(points)
        lines = legend
        for row, cells in enumerate(plot(self._curves, width, height)):
            label = {0: high, height - 1: low}.get(row)
            shown = "" if label is None else self._figure(label)
            text = Content.styled(f"{shown:>{_LABEL_CELLS - 1}} ", "$foreground-muted")
            lines.append(Content.assemble(text, *joined(cells)))
        begin, end = (f"epoch {epoch:.3g}" for epoch in (first, last))
        scale = f"{begin}{end:>{max(1, width - len(begin))}}"
        lines.append(Content.styled(" " * _LABEL_CELLS + scale, "$foreground-muted"))
        return Content("\n").join(lines)

    def copy_text(self) -> str:
        """Return every point of every run."""
        return "\n".join(
            f"{curve.name}\t{epoch:g}\t{value:g}"
            for curve in self._curves
            for epoch, value in curve.points
        )

    def _legend(self, place: int, curve: Curve) -> Content:
        last = self._figure(curve.points[-1][1]) if curve.points else "nothing measured"
        return Content.styled(f"{symbol(place)} {visible(curve.name)}  {last}", style(place))

    def _figure(self, value: float) -> str:
        return percent(value, digits=1) if self._is_share else number(value, digits=3)


def symbol(place: int) -> str:
    """Return the symbol of a run by its place."""
    return SYMBOLS[place % len(SYMBOLS)]


def style(place: int) -> str:
    """Return the style of a run by its place."""
    return STYLES[place % len(STYLES)]


def plot(curves: Sequence[Curve], width: int, height: int) -> list[list[tuple[str, str]]]:
    """Return the cells of a plot, row by row, each with its style.

    Between two points a curve takes every so many columns, as many as there are curves, so that
    those which lie on one another are all to be seen.
    """
    cells = [[(" ", "")] * width for _ in range(height)]
    points = [point for curve in curves for point in curve.points]
    (first, last), (low, high) = _ranges(points)
    for place, curve in reversed(list(enumerate(curves))):
        for column in range(width):
            epoch = first + (last - first) * column / max(1, width - 1)
            value = _value_at(curve.points, epoch)
            if value is not None and column % len(curves) == place:
                row = round((high - value) / (high - low) * (height - 1))
                cells[row][column] = (symbol(place), style(place))
    return cells


def _ranges(points: Sequence[Point]) -> tuple[Point, Point]:
    epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
    low, high = min(values), max(values)
    margin = 0.0 if high > low else max(abs(high) * _FLAT_MARGIN, 1e-6)
    first, last = min(epochs), max(epochs)
    return (first, max(last, first + 1e-9)), (low - margin, high + margin)


def _value_at(points: Sequence[Point], epoch: float) -> float | None:
    """Return the value between the two points around an epoch; None outside of all."""
    if len(points) == 1:
        return points[0][1]
    for (left, before), (right, after) in itertools.pairwise(points):
        if left <= epoch <= right:
            share = (epoch - left) / (right - left) if right > left else 1.0
            return before + (after - before) * share
    return None

"""A small plot of one figure over the steps: training as dots, validation as marks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from textual.content import Content
from textual.widget import Widget

from ecotui.series import Series
from ecotui.text import number, percent
from ecotui.widgets.look import look_of
from ecotui.widgets.runs import joined

TRAIN_STYLE = "$text-primary"
VAL_STYLE = "$text-success"
VAL_MARK = "o"
TRAIN_MARK, ASCII_TRAIN_MARK = "⠒", "."
SMOOTHINGS = (0.0, 0.6, 0.9, 0.98)
"""Weights of what came before, in the exponential average of a training figure."""
MAX_ZOOM = 8
_LABEL_CELLS = 8
_AXIS_FROM_ROWS, _MIDDLE_FROM_ROWS = 5, 5
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each dot of a braille cell, by row and column."""

Point = tuple[int, float]
Points = tuple[Point, ...]
Cells = list[list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class ChartView:
    """What is looked at of a figure, and how.

    Attributes:
        zoom: How often the range of steps was halved; 0 shows the whole run.
        end: The last step in view; None follows the newest one.
        is_log: Whether the figures that can be are drawn on a logarithmic scale.
        smoothing: Weight of what came before, 0 to 1; 0 draws what was measured.
    """

    zoom: int = 0
    end: int | None = None
    is_log: bool = False
    smoothing: float = 0.0

    def range_of(self, first: int, last: int) -> tuple[int, int]:
        """Return the steps in view, of those that there are."""
        width = max(1, (last - first) >> self.zoom)
        end = last if self.end is None else min(last, max(self.end, first + width))
        return max(first, end - width), end

    def zoomed(self, by: int) -> ChartView:
        """Return the view with half the range, or with twice as much."""
        zoom = min(MAX_ZOOM, max(0, self.zoom + by))
        return replace(self, zoom=zoom, end=self.end if zoom else None)

    def moved(self, by: int, first: int, last: int) -> ChartView:
        """Return the view half a range earlier or later; at the newest step it follows again."""
        start, end = self.range_of(first, last)
        target = end + by * max(1, (end - start) // 2)
        return replace(self, end=None if target >= last else max(target, end - start + first))

    def smoother(self) -> ChartView:
        """Return the view with the next smoothing, round to none at all."""
        at = SMOOTHINGS.index(self.smoothing) if self.smoothing in SMOOTHINGS else 0
        return replace(self, smoothing=SMOOTHINGS[(at + 1) % len(SMOOTHINGS)])


WHOLE = ChartView()


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of the plane is drawn, on how many cells."""

    width: int
    height: int
    steps: tuple[int, int]
    values: tuple[float, float]

    def place(self, step: int, value: float, columns: int, rows: int) -> tuple[int, int]:
        """Return row and column of a point on a grid, from the top left."""
        across = (step - self.steps[0]) / max(1, self.steps[1] - self.steps[0])
        up = (value - self.values[0]) / (self.values[1] - self.values[0])
        return round((1 - up) * (rows - 1)), round(across * (columns - 1))


class MetricChart(Widget):
    """One figure over the run, drawn from its series.

    Args:
        title: Of the figure.
        is_fraction: Shown in percent; such a figure is never drawn on a logarithmic scale.
        digits: Decimals of the figure; None writes it with an exponent where it is small.
    """

    DEFAULT_CSS = "MetricChart { text-wrap: nowrap; }"

    def __init__(self, title: str, *, is_fraction: bool, digits: int | None = 3) -> None:
        super().__init__()
        self._title = title
        self._is_fraction = is_fraction
        self._digits = digits
        self._train, self._val = Series(), Series()
        self._view = WHOLE
        self._span: tuple[int, int] | None = None
        self.border_title = title

    def show(
        self,
        train: Series,
        val: Series,
        view: ChartView = WHOLE,
        span: tuple[int, int] | None = None,
    ) -> None:
        """Show the figure of training and of validation.

        Args:
            train: Measured in training; may be empty.
            val: Measured in validation; may be empty.
            view: What is looked at.
            span: First and last step of the run, so that several charts lie one below the other.
        """
        is_same = train is self._train and val is self._val
        if is_same and view == self._view and span == self._span:
            return
        self._train, self._val, self._view, self._span = train, val, view, span
        self._entitle()
        self.refresh()

    def on_resize(self) -> None:
        """Say as much beside the title as there is room for."""
        self._entitle()

    def _entitle(self) -> None:
        """Put what the marks mean, and the newest figures, beside the title."""
        title = self._told(" train", " val")
        if title.cell_length > self.outer_size.width - 4:
            title = self._told("", "")
        self.border_title = title

    def _told(self, train: str, val: str) -> Content:
        parts = [Content(self._title)]
        mark = ASCII_TRAIN_MARK if self.is_mounted and look_of(self).is_ascii else TRAIN_MARK
        if self._train.points:
            told = f"{mark}{train} {self._last(self._train)}"
            parts.append(Content.styled(told, TRAIN_STYLE))
        if self._val.points:
            told = f"{VAL_MARK}{val} {self._last(self._val)}"
            parts.append(Content.styled(told, VAL_STYLE))
        return Content("  ").join(parts)

    def render(self) -> Content:
        """Draw the plot in the room there is."""
        has_axis = self.size.height >= _AXIS_FROM_ROWS
        width, height = self.size.width - _LABEL_CELLS, self.size.height - has_axis
        points = (*self._train.points, *self._val.points)
        if not points or width < 4 or height < 2:
            return Content.styled("nothing measured yet", "$foreground-muted")
        first, last = self._span or (min(p[0] for p in points), max(p[0] for p in points))
        steps = self._view.range_of(first, last)
        smooth = smoothed(self._train.points, self._view.smoothing)
        train, val = _within(smooth, steps), _within(self._val.points, steps)
        is_log = self._view.is_log and not self._is_fraction and _can_be_log((*train, *val))
        if is_log:
            train, val = _logarithms(train), _logarithms(val)
        if not train and not val:
            return Content.styled("nothing measured in these steps", "$foreground-muted")
        frame = replace(frame_of((*train, *val), width, height), steps=steps)
        is_ascii = look_of(self).is_ascii
        rows = plot(frame, Series(train), Series(val), is_ascii=is_ascii)
        lines = [self._labelled(row, cells, frame, is_log) for row, cells in enumerate(rows)]
        if has_axis:
            lines.append(_axis(frame, is_log))
        return Content("\n").join(lines)

    def _labelled(
        self, row: int, cells: list[tuple[str, str]], frame: Frame, is_log: bool
    ) -> Content:
        low, high = frame.values
        labels = {0: high, frame.height - 1: low}
        if frame.height >= _MIDDLE_FROM_ROWS:
            labels[(frame.height - 1) // 2] = high - (high - low) * ((frame.height - 1) // 2) / (
                frame.height - 1
            )
        value = labels.get(row)
        if value is not None and is_log:
            value = 10.0**value
        shown = "" if value is None else self._figure(value)
        if value is not None and len(shown) >= _LABEL_CELLS:
            shown = f"{value:.1e}"
        label = Content.styled(f"{shown:>{_LABEL_CELLS - 1}} ", "$foreground-muted")
        return Content.assemble(label, *joined(cells))

    def _last(self, series: Series) -> str:
        return self._figure(series.points[-1][1]) if series.points else "-"

    def _figure(self, value: float) -> str:
        if self._is_fraction:
            return percent(value, digits=1)
        return f"{value:.2e}" if self._digits is None else number(value, digits=self._digits)


def smoothed(points: Points, weight: float) -> Points:
    """Return the exponential average of a figure, corrected for where it begins.

    Source: Kingma and Ba 2015 (the correction of the bias), as TensorBoard smooths.
    """
    if not weight or len(points) < 2:
        return points
    found, mean, share = list[Point](), 0.0, 1.0
    for step, value in points:
        mean = weight * mean + (1.0 - weight) * value
        share *= weight
        found.append((step, mean / (1.0 - share)))
    return tuple(found)


def frame_of(points: Points, width: int, height: int) -> Frame:
    """Return the frame that holds every point, a flat line in its middle."""
    steps = [step for step, _ in points]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    margin = 0.0 if high > low else max(abs(high) * 0.1, 1e-6)
    return Frame(width, height, (min(steps), max(steps)), (low - margin, high + margin))


def plot(frame: Frame, train: Series, val: Series, *, is_ascii: bool = False) -> Cells:
    """Return the cells of a plot, row by row, each with its style."""
    across, down = (1, 1) if is_ascii else (2, 4)
    bits = [[0] * frame.width for _ in range(frame.height)]
    for row, column in _line(frame, train, across, down):
        bits[row // down][column // across] |= _DOTS[row % down][column % across]
    mark = ASCII_TRAIN_MARK if is_ascii else ""
    cells = [
        [((mark or chr(_BRAILLE + each)) if each else " ", TRAIN_STYLE) for each in line]
        for line in bits
    ]
    for step, value in val.points:
        row, column = frame.place(step, value, frame.width, frame.height)
        cells[row][column] = (VAL_MARK, VAL_STYLE)
    return cells


def _line(frame: Frame, series: Series, across: int, down: int) -> list[tuple[int, int]]:
    """Return the dots of a line through the points, on a grid of so many dots a cell."""
    columns, rows = frame.width * across, frame.height * down
    places = [frame.place(step, value, columns, rows) for step, value in series.points]
    dots = places[:1]
    for (row, column), (next_row, next_column) in pairwise(places):
        count = max(abs(next_row - row), abs(next_column - column), 1)
        dots += [
            (
                row + round((next_row - row) * index / count),
                column + round((next_column - column) * index / count),
            )
            for index in range(1, count + 1)
        ]
    return dots


def _axis(frame: Frame, is_log: bool) -> Content:
    start, end = f"{frame.steps[0]:,}", f"{frame.steps[1]:,}"
    gap = frame.width - len(start) - len(end)
    across = start + " " * gap + end if gap > 0 else end[: frame.width].rjust(frame.width)
    name = "log" if is_log else "step"
    return Content.styled(f"{name:>{_LABEL_CELLS - 1}} {across}", "$foreground-muted")


def _within(points: Points, steps: tuple[int, int]) -> Points:
    return tuple(point for point in points if steps[0] <= point[0] <= steps[1])


def _can_be_log(points: Points) -> bool:
    return all(value > 0.0 for _, value in points)


def _logarithms(points: Points) -> Points:
    return tuple((step, math.log10(value)) for step, value in points)

"""A small plot of one figure over the steps: training as dots, validation as marks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from textual.content import Content
from textual.widget import Widget

from ecotui.series import Series
from ecotui.text import number, percent

TRAIN_STYLE = "$text-accent"
VAL_STYLE = "$text-success"
VAL_MARK = "o"
_LABEL_CELLS = 7
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each dot of a braille cell, by row and column."""


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
    """One figure over the run, drawn from its series."""

    def __init__(self, title: str, *, is_fraction: bool) -> None:
        super().__init__()
        self._is_fraction = is_fraction
        self._train, self._val = Series(), Series()
        self.border_title = title

    def show(self, train: Series, val: Series) -> None:
        """Show the figure of training and of validation."""
        if train is self._train and val is self._val:
            return
        self._train, self._val = train, val
        self.refresh()

    def render(self) -> Content:
        """Draw the plot in the room there is."""
        legend = self._legend()
        width, height = self.size.width - _LABEL_CELLS, self.size.height - len(legend)
        points = (*self._train.points, *self._val.points)
        if not points or width < 4 or height < 2:
            return Content.styled("nothing measured yet", "$text-muted")
        frame = frame_of(points, width, height)
        lines = legend
        for row, cells in enumerate(plot(frame, self._train, self._val)):
            label = {0: frame.values[1], height - 1: frame.values[0]}.get(row)
            shown = "" if label is None else self._figure(label)
            text = Content.styled(f"{shown:>{_LABEL_CELLS - 1}} ", "$text-muted")
            lines.append(Content.assemble(text, *cells))
        return Content("\n").join(lines)

    def _legend(self) -> list[Content]:
        """Return what the marks mean, on one line where it fits, else on two."""
        train = Content.styled(f"⠒ train {self._last(self._train)}", TRAIN_STYLE)
        val = Content.styled(f"{VAL_MARK} val {self._last(self._val)}", VAL_STYLE)
        on_one = Content("  ").join([train, val])
        return [on_one] if on_one.cell_length <= self.size.width else [train, val]

    def _last(self, series: Series) -> str:
        return self._figure(series.points[-1][1]) if series.points else "-"

    def _figure(self, value: float) -> str:
        return percent(value, digits=1) if self._is_fraction else number(value, digits=3)


def frame_of(points: tuple[tuple[int, float], ...], width: int, height: int) -> Frame:
    """Return the frame that holds every point, a flat line in its middle."""
    steps = [step for step, _ in points]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    margin = 0.0 if high > low else max(abs(high) * 0.1, 1e-6)
    return Frame(width, height, (min(steps), max(steps)), (low - margin, high + margin))


def plot(frame: Frame, train: Series, val: Series) -> list[list[tuple[str, str]]]:
    """Return the cells of a plot, row by row, each with its style."""
    bits = [[0] * frame.width for _ in range(frame.height)]
    for row, column in _line(frame, train):
        bits[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    cells = [
        [(chr(_BRAILLE + each) if each else " ", TRAIN_STYLE) for each in line] for line in bits
    ]
    for step, value in val.points:
        row, column = frame.place(step, value, frame.width, frame.height)
        cells[row][column] = (VAL_MARK, VAL_STYLE)
    return cells


def _line(frame: Frame, series: Series) -> list[tuple[int, int]]:
    """Return the dots of a line through the points, on a grid of 2 by 4 dots a cell."""
    columns, rows = frame.width * 2, frame.height * 4
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

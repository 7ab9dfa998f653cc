"""How each class is recognised, after each validation."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.widgets import DataTable

from ecotui.actions.panels import CLASSES
from ecotui.events import ClassScore, ValidationFinished
from ecotui.text import number, percent, visible
from ecotui.widgets.bar import DONE, HALF, LEFT
from ecotui.widgets.panel import bindings_of

_BAR_CELLS = 10
_ORDERS: tuple[tuple[str, Callable[[ClassScore], float] | None], ...] = (
    ("lowest F1 first", lambda score: score.f1),
    ("lowest recall first", lambda score: score.recall),
    ("lowest precision first", lambda score: score.precision),
    ("most images first", lambda score: -score.support),
    ("in their own order", None),
)


class ClassTable(DataTable[Text]):
    """Precision, recall, F1 and support of each class, the weakest first.

    Args:
        hint: Stands in the title; may be empty.
    """

    BINDINGS = bindings_of(CLASSES)
    HELP = """
How each class is recognised in the last validation. Precision: of what was called by this name,
how much was right. Recall: of the images of this class, how many were found. F1 is their mean,
low where either is. o chooses another order.
"""

    def __init__(self, hint: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(cursor_type="row", id=id)
        self._hint = f" · {hint}" if hint else ""
        self._shown: ValidationFinished | None = None
        self._order = 0
        self._entitle()

    def on_mount(self) -> None:
        """Lay out the columns."""
        self.add_column("class", width=20)
        for name, width in (("precision", 9), ("recall", 8), ("F1", 6), ("images", 7)):
            self.add_column(Text(name, justify="right"), width=width)
        self.add_column("F1", width=_BAR_CELLS)
        self._fill()

    def show(self, validation: ValidationFinished | None) -> None:
        """Show the scores of a validation."""
        if validation is None or validation is self._shown:
            return
        self._shown = validation
        self._fill()

    def action_order(self) -> None:
        """Take the next order."""
        self._order = (self._order + 1) % len(_ORDERS)
        self._fill()

    def _entitle(self) -> None:
        words, seen = _ORDERS[self._order][0], self._shown
        told = ""
        if seen is not None:
            split = "test" if seen.split == "test" else f"validation, epoch {seen.epoch}"
            told = f" · {split}"
        self.border_title = f"Classes, {words} (o){told}{self._hint}"

    def _fill(self) -> None:
        self._entitle()
        if self._shown is None or not self.columns:
            return
        self.clear()
        key = _ORDERS[self._order][1]
        every = self._shown.per_class
        for score in every if key is None else sorted(every, key=key):
            self.add_row(*_cells(score))


def _cells(score: ClassScore) -> tuple[Text, ...]:
    figures = (percent(score.precision), percent(score.recall), number(score.f1))
    name = Text(visible(score.name), overflow="ellipsis", no_wrap=True)
    told = (Text(each, justify="right") for each in (*figures, f"{score.support:,}"))
    return (name, *told, _bar(score.f1))


def _bar(share: float) -> Text:
    halves = int(min(1.0, max(0.0, share)) * _BAR_CELLS * 2)
    done = DONE * (halves // 2) + HALF * (halves % 2)
    return Text(done + LEFT * (_BAR_CELLS - len(done)))

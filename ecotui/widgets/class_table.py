"""How each class is recognised, after each validation."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import DataTable

from ecotui.events import ClassScore, ValidationFinished
from ecotui.text import number, percent, visible


class ClassTable(DataTable[Text]):
    """Precision, recall, F1 and support of each class, the weakest first."""

    def __init__(self) -> None:
        super().__init__(cursor_type="none")
        self._shown: ValidationFinished | None = None
        self.border_title = "Classes, lowest F1 first"

    def on_mount(self) -> None:
        """Lay out the columns."""
        self.add_column("class", width=20)
        self.add_columns("precision", "recall", "F1", "images")

    def show(self, validation: ValidationFinished | None) -> None:
        """Show the scores of a validation."""
        if validation is None or validation is self._shown:
            return
        self._shown = validation
        split = "test" if validation.split == "test" else f"validation, epoch {validation.epoch}"
        self.border_subtitle = f"{split}, macro F1 {number(validation.macro_f1)}"
        self.clear()
        for score in sorted(validation.per_class, key=lambda score: score.f1):
            self.add_row(*_cells(score))


def _cells(score: ClassScore) -> tuple[Text, ...]:
    figures = (percent(score.precision), percent(score.recall), number(score.f1))
    name = Text(visible(score.name), overflow="ellipsis", no_wrap=True)
    return (name, *(Text(each, justify="right") for each in (*figures, f"{score.support:,}")))

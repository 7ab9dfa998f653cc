"""A bar whose done part differs from the rest by its shape, not by its colour alone."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

DONE, HALF, LEFT, UNKNOWN = "━", "╸", "─", "╌"
"""Thick and thin; in ASCII `=` and `-`."""
_PERCENT_CELLS = 5


class Bar(Static):
    """How far something is, with the share in percent beside it."""

    DEFAULT_CSS = "Bar { height: 1; text-wrap: nowrap; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: tuple[float, float | None] = (0.0, 1.0)

    def show(self, done: float, total: float | None) -> None:
        """Show how much is done of what; a total of None is one that nobody knows."""
        if (done, total) == self._shown:
            return
        self._shown = (done, total)
        self._draw()

    def on_resize(self) -> None:
        """Use the room there is."""
        self._draw()

    def _draw(self) -> None:
        done, total = self._shown
        share = None if total is None else min(1.0, max(0.0, done / total)) if total else 0.0
        drawn = bar(share, self.size.width)
        self.update(drawn, layout=False)


def bar(share: float | None, width: int) -> Content:
    """Return a bar of so many cells.

    Args:
        share: Of it that is done, 0 to 1; None where nobody knows.
        width: In cells, the percentage included.
    """
    cells = max(0, width - _PERCENT_CELLS)
    if share is None:
        return Content.styled(UNKNOWN * cells, "$foreground-muted")
    halves = int(share * cells * 2)
    done = DONE * (halves // 2) + HALF * (halves % 2)
    style = "$text-success" if share >= 1.0 else "$text-primary"
    rest = LEFT * (cells - len(done))
    told = f"{int(share * 100):>{_PERCENT_CELLS - 1}}%"
    return Content.assemble((done, style), (rest, "$foreground-muted"), told)

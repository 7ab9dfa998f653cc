"""The seven layers of protection, each with its status and how often it acted."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from ecotui.actions.panels import LAYERS
from ecotui.events import LAYER_NAMES, Layer
from ecotui.layers import LayerState
from ecotui.text import visible
from ecotui.widgets.marks import STATUSES
from ecotui.widgets.panel import bindings_of

_NAME_CELLS = 18
_SHORT_NAME_CELLS = 12
_MIN_CELLS = 26
"""For a number, a short name, the mark, the word and the count."""
_WITH_LONG_NAMES_FROM_CELLS = 34
_WITH_WORDS_FROM_CELLS = 56


class GuardStrip(Static, can_focus=True):
    """Number, name, symbol and word of each status, and the count; in columns where it is low."""

    DEFAULT_CSS = "GuardStrip { height: 8; text-wrap: nowrap; text-overflow: ellipsis; }"
    BINDINGS = bindings_of(LAYERS)
    HELP = """
The seven layers of protection. idle: its time is to come. watching: it looks, and found nothing.
passed: it looked to the end. acted: it warned, skipped, set aside or went back, so many times.
tripped: it stopped the run. Enter opens a layer: what it did, its guards, their limits.
"""

    @dataclass
    class Chosen(Message):
        """A layer was chosen with Enter."""

        layer: Layer

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", markup=False, id=id)
        self._shown: tuple[LayerState, ...] | None = None
        self._cursor = 0
        self.border_title = "Seven layers"

    def show(self, layers: tuple[LayerState, ...]) -> None:
        """Show the layers, in order."""
        if layers is self._shown:
            return
        self._shown = layers
        self._draw()

    def on_resize(self) -> None:
        """Use the room: with enough of it, each layer's last words are shown."""
        self._draw()

    def on_focus(self) -> None:
        """Show where the cursor is."""
        self._draw()

    def on_blur(self) -> None:
        """Show no cursor."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where somebody clicked."""
        at = event.get_content_offset(self)
        if at is not None and self._shown:
            rows, cells = self._grid()
            self._go_to(at.x // max(1, cells) * rows + at.y)

    def action_go(self, by: int) -> None:
        """Move the cursor."""
        self._go_to(self._cursor + by)

    def action_choose(self) -> None:
        """Say that the layer under the cursor is chosen."""
        if self._shown:
            self.post_message(self.Chosen(self._shown[self._cursor].layer))

    def _go_to(self, at: int) -> None:
        self._cursor = min(max(0, at), max(0, len(self._shown or ()) - 1))
        self._draw()

    def _grid(self) -> tuple[int, int]:
        """Return how many layers stand one below the other, and how wide each is."""
        count = len(self._shown or ())
        most_columns = max(1, self.size.width // _MIN_CELLS)
        rows = max(1, -(-count // most_columns), min(count, self.size.height or count))
        columns = -(-count // rows)
        return rows, self.size.width // max(1, columns)

    def _draw(self) -> None:
        rows, cells = self._grid()
        every = self._shown or ()
        lines = []
        for row in range(rows):
            found = every[row::rows]
            parts = [self._entry(layer, row + at * rows, cells) for at, layer in enumerate(found)]
            lines.append(Content.assemble(*parts))
        self.update(Content("\n").join(lines))

    def _entry(self, layer: LayerState, at: int, cells: int) -> Content:
        line = _line(layer, cells)
        line = line.truncate(cells, ellipsis=True, pad=True)
        is_here = self.has_focus and at == self._cursor
        return (
            line.stylize("$block-cursor-foreground on $block-cursor-background reverse")
            if (is_here)
            else line
        )


def _line(layer: LayerState, cells: int) -> Content:
    mark = STATUSES[layer.status]
    count = f" {layer.count}" if layer.count else ""
    width = _NAME_CELLS if cells >= _WITH_LONG_NAMES_FROM_CELLS else _SHORT_NAME_CELLS
    name = f"{layer.layer} {LAYER_NAMES[layer.layer]:{width}.{width}} "
    status = layer.status + count
    if not (cells >= _WITH_WORDS_FROM_CELLS and layer.last):
        return Content.assemble(name, mark.before(status))
    words = visible(layer.last, limit=200)
    return Content.assemble(name, mark.before(f"{status:12}"), (words, "$foreground-muted"))

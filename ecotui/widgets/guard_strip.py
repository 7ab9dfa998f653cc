"""The seven layers of protection, each with its status and how often it acted."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from ecotui.events import LAYER_NAMES
from ecotui.layers import LayerState
from ecotui.text import visible
from ecotui.widgets.marks import STATUSES

_NAME_CELLS = 18
_WITH_WORDS_FROM_CELLS = 56


class GuardStrip(Static):
    """Seven lines: number, name, symbol and word of the status, and the count."""

    DEFAULT_CSS = "GuardStrip { height: 8; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: tuple[LayerState, ...] | None = None
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

    def _draw(self) -> None:
        with_words = self.size.width >= _WITH_WORDS_FROM_CELLS
        lines = [_line(layer, with_words=with_words) for layer in self._shown or ()]
        self.update(Content("\n").join(lines))


def _line(layer: LayerState, *, with_words: bool) -> Content:
    mark = STATUSES[layer.status]
    count = f" {layer.count}" if layer.count else ""
    name = f"{layer.layer} {LAYER_NAMES[layer.layer]:{_NAME_CELLS}} "
    status = layer.status + count
    if not (with_words and layer.last):
        return Content.assemble(name, mark.before(status))
    words = visible(layer.last, limit=200)
    return Content.assemble(name, mark.before(f"{status:12}"), (words, "$foreground-muted"))

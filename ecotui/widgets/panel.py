"""What a panel is: a part of a screen that can take the focus, be copied, and explain itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from textual.binding import Binding, BindingType
from textual.widget import Widget

from ecotui.actions.action import Action

_SCREENS = Binding.Group("Screens", compact=True)


@runtime_checkable
class HasText(Protocol):
    """A panel whose text is more than what is to be seen of it."""

    def copy_text(self) -> str:
        """Return all of its text, as it is to be copied."""


def text_of(widget: Widget) -> str:
    """Return the text of a panel: what it gives out itself, or else what is in it.

    Tables give every row, texts all of their lines, anything else the lines on the screen.
    """
    from textual.widgets import DataTable, Static

    if isinstance(widget, HasText):
        return widget.copy_text()
    if isinstance(widget, DataTable):
        rows = [widget.get_row_at(index) for index in range(widget.row_count)]
        heads = [column.label for column in widget.ordered_columns]
        return "\n".join("\t".join(str(cell) for cell in row) for row in (heads, *rows))
    if isinstance(widget, Static):
        return str(widget.content)
    if widget.displayed_children:
        return "\n".join(text_of(child) for child in widget.displayed_children)
    width, height = widget.size
    lines = widget.render_lines(widget.size.region) if width and height else []
    return "\n".join("".join(part.text for part in line).rstrip() for line in lines)


def panel_of(widget: Widget | None) -> Widget | None:
    """Return the panel that a widget stands for: itself, or the nearest one around it with a title.

    A table in a panel of its own has the panel's title; F1, copying and zooming mean the panel.
    """
    if widget is None:
        return None
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and (node.border_title or isinstance(node, HasText)):
            return node
    return widget


def bindings_of(actions: Sequence[Action]) -> list[BindingType]:
    """Return the key bindings of actions, for the `BINDINGS` of an app, a screen or a panel.

    An action without keys has no binding: the palette knows it.
    """
    return [
        Binding(
            action.keys,
            action.does,
            action.word,
            show=action.in_footer,
            tooltip=action.help,
            id=action.id,
            priority=action.outranks,
            group=_SCREENS if action.id.startswith("screen.") else None,
        )
        for action in actions
        if action.keys
    ]

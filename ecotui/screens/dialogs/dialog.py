"""The frame of every dialog: a box in the middle, a title, and Esc for no answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

_Answer = TypeVar("_Answer")


class Dialog(ModalScreen[_Answer]):
    """A box with a title; what is in it is `fill`'s business.

    Args:
        title: Stands in the border, as it is: foreign text passes `visible` before.
    """

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > .box { width: 72; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; border-title-color: $text-primary; background: $surface;
        overflow-y: auto; }
    Dialog Button { width: 100%; margin-top: 1; }
    Dialog .told { height: auto; }
    """
    BINDINGS = [  # noqa: RUF012
        Binding("escape", "cancel", "Cancel", tooltip="close without an answer"),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]
    HINT = "Esc cancels"

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Lay out the box."""
        with Vertical(classes="box") as box:
            box.border_title = self._title
            box.border_subtitle = self.HINT
            yield from self.fill()

    def fill(self) -> Iterable[Widget]:
        """Return what is in the box; the first that can take the focus gets it."""
        raise NotImplementedError

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

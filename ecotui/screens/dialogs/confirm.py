"""A yes or no before something that cannot be undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.binding import Binding
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from ecotui.screens.dialogs.dialog import Dialog
from ecotui.text import visible


class ConfirmScreen(Dialog[bool]):
    """Asks once; No has the focus, so that Enter does no harm.

    Closes with True for yes, and with False or None for no.

    Args:
        title: What is to be done, in a word or two.
        lines: What would happen, a sentence each; foreign text in them is made harmless.
        yes: The words of the button that does it, such as `Delete 3 runs`.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("y", "answer(True)", "Yes"),
        Binding("n", "answer(False)", "No"),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, yes: str) -> None:
        super().__init__(title)
        self._lines = lines
        self._yes = yes

    def fill(self) -> Iterable[Widget]:
        """Return the question and both answers, the safe one first."""
        told = Content("\n").join(Content(visible(line)) for line in self._lines)
        yield Static(told, classes="told", markup=False)
        yield Button("No (n)", id="no", variant="primary", compact=True)
        yield Button(Content(f"{visible(self._yes)} (y)"), id="yes", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button pressed."""
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, is_yes: bool) -> None:
        """Close with an answer."""
        self.dismiss(is_yes)

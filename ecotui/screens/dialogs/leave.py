"""What becomes of the run when the app is left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import Button, Label

from ecotui.screens.dialogs.dialog import Dialog

Leave = Literal["detach", "stop", "cancel"]


class LeaveScreen(Dialog[Leave]):
    """Asks what becomes of the run; leaving it running comes first.

    Args:
        can_stop: Whether the app may ask the engine to stop.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("l", "choose('detach')", "Leave it running"),
        Binding("s", "choose('stop')", "Stop and save"),
    ]

    def __init__(self, *, can_stop: bool = True) -> None:
        super().__init__("Leave")
        self._can_stop = can_stop

    def fill(self) -> Iterable[Widget]:
        """Return the answers, the safe one first."""
        yield Label("The run is still going.", markup=False)
        yield Button("Leave it running (l)", id="detach", variant="primary", compact=True)
        if self._can_stop:
            yield Button("Stop it and save a checkpoint (s)", id="stop", compact=True)
        yield Button("Cancel (Esc)", id="cancel", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button's name."""
        event.stop()
        self.action_choose(event.button.id or "cancel")

    def action_choose(self, answer: str) -> None:
        """Close with an answer."""
        answers: dict[str, Leave] = {"detach": "detach"}
        if self._can_stop:
            answers["stop"] = "stop"
        self.dismiss(answers.get(answer, "cancel"))

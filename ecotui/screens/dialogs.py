"""Questions and answers over a screen: the keys there are, and how to leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Static

from ecotui.text import visible

Leave = Literal["detach", "stop", "cancel"]


class HelpScreen(ModalScreen[None]):
    """Every key and what it does."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll { width: 72; height: auto; max-height: 90%; padding: 0 1;
        border: round $primary; border-title-color: $text-primary; background: $surface; }
    """
    BINDINGS = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]  # noqa: RUF012

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Lay out a line a key."""
        width = max(len(key) for key, _ in self._keys)
        lines = [
            Content.assemble(
                (f"{visible(key):>{width}}", "$text-accent bold"), f"  {visible(does)}"
            )
            for key, does in self._keys
        ]
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "Esc closes"
            yield Static(Content("\n").join(lines), markup=False)


class LeaveScreen(ModalScreen[Leave]):
    """Asks what becomes of the run when the app is left."""

    DEFAULT_CSS = """
    LeaveScreen { align: center middle; }
    LeaveScreen > Vertical { width: 60; height: auto; padding: 0 1; border: round $primary;
        border-title-color: $text-primary; background: $surface; }
    LeaveScreen Button { width: 100%; margin-top: 1; }
    """
    BINDINGS = [  # noqa: RUF012
        Binding("escape", "choose('cancel')", "Cancel"),
        Binding("l", "choose('detach')", "Leave it running"),
        Binding("s", "choose('stop')", "Stop and save"),
        Binding("up,left", "app.focus_previous", show=False),
        Binding("down,right", "app.focus_next", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the three answers, the safe one first."""
        with Vertical() as box:
            box.border_title = "Leave"
            yield Label("The run is still going.", markup=False)
            yield Button("Leave it running (l)", id="detach", variant="primary", compact=True)
            yield Button("Stop it and save a checkpoint (s)", id="stop", compact=True)
            yield Button("Cancel (Esc)", id="cancel", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button's name."""
        event.stop()
        self.action_choose(event.button.id or "cancel")

    def action_choose(self, answer: str) -> None:
        """Close with an answer."""
        answers: dict[str, Leave] = {"detach": "detach", "stop": "stop"}
        self.dismiss(answers.get(answer, "cancel"))

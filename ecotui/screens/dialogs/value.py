"""A value asked for, judged as it is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ecotui.screens.dialogs.dialog import Dialog
from ecotui.text import visible
from ecotui.widgets.line_input import LineInput

Judge = Callable[[str], str]
"""Returns what is wrong with a text, in words; empty where nothing is."""
MAX_CHARACTERS = 200


class ValueScreen(Dialog[str]):
    """Asks for one value; Enter answers with it where it is right, and does nothing where not.

    Closes with the text without spaces around it, or None.

    Args:
        title: What is asked for.
        told: A sentence beside it: the present value, the range, what follows.
        value: What stands there to begin with.
        judge: Says what is wrong with a text.
    """

    HINT = "Enter takes it, Esc cancels"

    def __init__(self, title: str, told: str, value: str, judge: Judge) -> None:
        super().__init__(title)
        self._told = told
        self._value = value
        self._judge = judge

    def fill(self) -> Iterable[Widget]:
        """Return the sentence, the line to type in and the judgement."""
        yield Static(Content(visible(self._told)), classes="told", markup=False)
        yield LineInput(self._value, max_length=MAX_CHARACTERS, compact=True)
        yield Static("", id="fault", classes="told", markup=False)

    def on_mount(self) -> None:
        """Judge what stands there."""
        self._show_fault(self._value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge what is typed."""
        event.stop()
        self._show_fault(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer, where the value is right."""
        event.stop()
        value = event.value.strip()
        if not self._judge(value):
            self.dismiss(value)

    def _show_fault(self, value: str) -> None:
        fault = self._judge(value.strip())
        shown = Content.styled(f"✗ {visible(fault)}", "$text-error") if fault else Content("✓ fine")
        self.query_one("#fault", Static).update(shown)


def learning_rate_fault(text: str) -> str:
    """Say what is wrong with a learning rate."""
    try:
        rate = float(text)
    except ValueError:
        return "a number such as 0.0003 or 3e-4"
    return "" if 0.0 < rate < float("inf") else "more than 0"


def epochs_fault(done: int, most: int = 100_000) -> Judge:
    """Return what judges a total of epochs, of which some are done."""

    def judge(text: str) -> str:
        if not (text.isascii() and text.isdecimal()) or len(text) > 6:
            return "a whole number"
        count = int(text)
        if count <= done:
            return f"more than the {done:,} done already"
        return "" if count <= most else f"at most {most:,}"

    return judge

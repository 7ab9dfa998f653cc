"""One of a list, found by typing a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ecotui.screens.dialogs.dialog import Dialog
from ecotui.text import visible
from ecotui.widgets.line_input import LineInput


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to be chosen.

    Attributes:
        id: What the dialog closes with.
        words: What it is called; made harmless as it is shown.
        remark: More about it, in a quieter colour.
    """

    id: str
    words: str
    remark: str = ""


class ChoiceScreen(Dialog[str]):
    """Asks for one of a list; typing leaves those that hold every word typed.

    Closes with the id of the choice, or None.

    Args:
        title: What is asked for.
        choices: In order, the safest first.
        chosen: Id of the one in effect, on which the cursor begins.
    """

    DEFAULT_CSS = """
    ChoiceScreen OptionList { height: auto; max-height: 14; border: none; padding: 0; }
    ChoiceScreen OptionList > .option-list--option-highlighted {
        color: $block-cursor-foreground; background: $block-cursor-background;
        text-style: $block-cursor-text-style; }
    """
    HINT = "type to find, Enter takes it, Esc cancels"
    BINDINGS = [  # noqa: RUF012
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, chosen: str = "") -> None:
        super().__init__(title)
        self._choices = choices
        self._chosen = chosen
        self._shown: list[Choice] = list(choices)

    def fill(self) -> Iterable[Widget]:
        """Return the line to type in and the list."""
        yield LineInput(placeholder="type to find", max_length=100, compact=True)
        options = OptionList(*map(_option, self._choices), markup=False)
        options.can_focus = False
        yield options

    def on_mount(self) -> None:
        """Put the cursor on what is in effect."""
        ids = [choice.id for choice in self._choices]
        at = ids.index(self._chosen) if self._chosen in ids else 0
        self.query_one(OptionList).highlighted = at if ids else None

    def on_input_changed(self, event: Input.Changed) -> None:
        """Leave what holds every word typed."""
        event.stop()
        self._shown = [choice for choice in self._choices if _fits(choice, event.value)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([_option(choice) for choice in self._shown])
        options.highlighted = 0 if self._shown else None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with what the cursor is on."""
        event.stop()
        at = self.query_one(OptionList).highlighted
        if at is not None and self._shown:
            self.dismiss(self._shown[at].id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with what was clicked."""
        event.stop()
        self.dismiss(self._shown[event.option_index].id)

    def action_move(self, by: int) -> None:
        """Move the cursor while the focus stays where one types."""
        options = self.query_one(OptionList)
        if by < 0:
            options.action_cursor_up()
        else:
            options.action_cursor_down()


def _option(choice: Choice) -> Option:
    remark = f"  {visible(choice.remark, limit=200)}" if choice.remark else ""
    words = Content(visible(choice.words, limit=200))
    return Option(Content.assemble(words, (remark, "$foreground-muted")))


def _fits(choice: Choice, typed: str) -> bool:
    held = f"{choice.words} {choice.remark}".casefold()
    return all(word in held for word in typed.casefold().split())

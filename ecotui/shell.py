"""What the app is before any run is shown: its colours, glyphs, keys, help, palette and copying."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import events, on, work
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.binding import Binding
from textual.command import CommandPalette
from textual.driver import Driver
from textual.filter import LineFilter, Monochrome, NoColor
from textual.screen import Screen
from textual.theme import Theme
from textual.widget import Widget

from ecotui import clipboard
from ecotui.actions.action import Action, Situation, named
from ecotui.actions.everywhere import EVERYWHERE
from ecotui.app_settings import THEMES, AppSettings, remember_theme
from ecotui.changed_cells import ChangedCells
from ecotui.errors import EcoError
from ecotui.palette import ActionProvider
from ecotui.screens import messages
from ecotui.stylesheet import ParsedOnce
from ecotui.text import visible
from ecotui.themes import BY_NAME, REGISTERED, REMARKS, colours_of
from ecotui.widgets.look import AsciiOnly, Glyphs, Look, NoColours
from ecotui.widgets.panel import bindings_of, panel_of, text_of

_GREYS = (Monochrome, NoColor)
"""What Textual puts in for NO_COLOR, also where it is empty: no-color.org wants neither that nor
grey."""


class Shell(App[int]):
    """The terminal's side of the app; knows no run.

    Attributes:
        settings: How it looks and listens.
        look: What may be drawn with.
        runs_dir: Where runs are kept, and copies that nothing else takes.
    """

    TITLE = "ecotui"
    ENABLE_COMMAND_PALETTE = False  # It is an action like others, so that its keys can be changed.
    COMMANDS = {ActionProvider}  # noqa: RUF012
    BINDINGS = bindings_of(EVERYWHERE)
    CSS = """
    .panel { border-top: solid $primary-muted; border-title-color: $text-primary;
        border-subtitle-color: $foreground-muted; padding: 0 1; }
    .panel:focus, .panel:focus-within { border-top: heavy $accent; }
    ModalScreen > ToastRack { layer: default; margin-bottom: 0; max-height: 40%; }
    ModalScreen Toast { width: 100%; max-width: 100%; margin-top: 0; padding: 0 1; }
    CommandPalette SearchIcon { display: none; }
    """

    def __init__(self, runs_dir: Path, settings: AppSettings) -> None:
        self._no_colour = NoColours(enabled=False)
        self._ascii = AsciiOnly(enabled=settings.is_ascii)
        self._cells = ChangedCells()
        super().__init__()
        self.stylesheet = ParsedOnce(self.get_css_variables())
        self.settings = settings
        self.runs_dir = runs_dir
        self.look = Look()
        for theme in REGISTERED:
            self.register_theme(theme)
        self._put_on(settings.theme)
        if settings.is_slow:
            self.animation_level = "none"
        if settings.keys:
            self.set_keymap(dict(settings.keys))

    @property
    def situation(self) -> Situation:
        """What decides which actions are possible now."""
        return Situation(is_readonly=self.settings.is_readonly)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        mine = named(EVERYWHERE, action, parameters)
        return mine is None or mine.is_possible(self.situation)

    def tell(self, error: EcoError) -> None:
        """Show what went wrong, in its three lines."""
        told = "\n".join(visible(line) for line in (*error.lines(), *error.more))
        self.notify(told, severity="error", timeout=20, markup=False)

    # Looks ----------------------------------------------------------------------------------------

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what every line passes on its way to the terminal.

        Textual's own filter for NO_COLOR, which sends greys, gives way to none at all.
        """
        theirs = [each for each in super().get_line_filters() if not isinstance(each, _GREYS)]
        return [*theirs, *(each for each in (self._no_colour, self._ascii) if each.enabled)]

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            renderable = self._cells.of(renderable)
        super()._display(screen, renderable)

    @on(events.Resize)
    @on(Driver.SignalResume)
    def _forget_cells(self) -> None:
        self._cells.forget()

    def action_redraw(self) -> None:
        """Draw everything: something else has written to the terminal."""
        self._cells.forget()
        for widget in (self.screen, *self.screen.walk_children()):
            widget.refresh()

    def _put_on(self, theme: str) -> None:
        colours = colours_of(theme)
        self.no_color = self._no_colour.enabled = colours == "none"
        glyphs: Glyphs = "ascii" if self.settings.is_ascii else "unicode"
        self.look = Look(glyphs, colours, is_animated=not self.settings.is_slow)
        self.theme = theme
        self.stylesheet.set_variables(self.get_css_variables())

    def get_theme(self, theme_name: str) -> Theme | None:
        """Return a theme by its name.

        Textual asks at every widget, and puts all of its themes together each time.
        """
        return BY_NAME.get(theme_name) or super().get_theme(theme_name)

    def action_choose_theme(self) -> None:
        """Ask for a theme, and remember it."""
        from ecotui.screens.dialogs.choice import Choice, ChoiceScreen

        choices = [Choice(name, name, REMARKS[name]) for name in THEMES]
        self.push_screen(ChoiceScreen("Theme", choices, chosen=self.theme), self._take_theme)

    def _take_theme(self, name: str | None) -> None:
        if name is not None:
            self._put_on(name)
            remember_theme(name)
            self.refresh_css(animate=False)
        self._after_dialog()

    def keys_of(self, action: Action) -> str:
        """Return the keys of an action as they stand on the keyboard, the person's own first."""
        keys = self.settings.keys.get(action.id, action.keys)
        every = Binding.make_bindings([Binding(keys, action.does)]) if keys else ()
        return ", ".join(self.get_key_display(binding) for binding in every)

    # Help -----------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """Show the keys that work here."""
        from ecotui.key_help import key_groups
        from ecotui.screens.dialogs.keys import HelpScreen

        groups = key_groups(self.screen, self.situation, self.keys_of)
        self.push_screen(HelpScreen("Keys", groups), self._after_dialog)

    def action_panel_help(self) -> None:
        """Show what the panel in focus is about, and its keys."""
        from ecotui.key_help import help_text, key_groups
        from ecotui.screens.dialogs.keys import HelpScreen

        panel = panel_of(self.focused)
        title = visible(panel.border_title or "") if panel is not None else ""
        told = help_text(self.focused or self.screen) or "Nothing is written about this panel yet."
        groups = key_groups(self.screen, self.situation, self.keys_of)[:2]
        self.push_screen(HelpScreen(title or "About", groups, told), self._after_dialog)

    def action_command_palette(self) -> None:
        """Find an action by its words."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(id="--command-palette"), self._after_dialog)

    # Panels ---------------------------------------------------------------------------------------

    def action_zoom(self) -> None:
        """Give the panel in focus the whole screen, or take it back."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.focused is not None:
            self.screen.maximize(panel_of(self.focused) or self.focused, container=False)

    def action_copy(self) -> None:
        """Copy the text of the panel in focus."""
        panel = panel_of(self.focused)
        if panel is None:
            self.notify("no panel has the focus: Tab goes to one", severity="warning")
            return
        self.copy_out(text_of(panel), _called(panel))

    @on(messages.Copy)
    def _take_copy(self, event: messages.Copy) -> None:
        self.copy_out(event.text, event.what)

    @work(group="copy", exit_on_error=False)
    async def copy_out(self, text: str, what: str) -> None:
        """Copy a text to where it can be pasted from, and say where that is."""
        harmless = "\n".join(visible(line, limit=1_000_000) for line in text.split("\n"))
        try:
            copied = await asyncio.to_thread(
                clipboard.copy, harmless, send=self.copy_to_clipboard, folder=self.runs_dir
            )
        except EcoError as error:
            self.tell(error)
            return
        self.notify(f"{visible(what)} copied to {visible(copied.where)}", markup=False)

    def _after_dialog(self, _: object = None) -> None:
        """A dialog is closed; whoever waited for that does what is due."""


def _called(panel: Widget) -> str:
    """Return what a panel is called: its title without what stands beside it."""
    return panel.border_title.partition(" · ")[0] if panel.border_title else "the panel"

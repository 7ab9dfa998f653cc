"""A folder of photos, chosen by typing its path or by walking there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from textual import work
from textual.binding import Binding
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ecotui.paths import expanded
from ecotui.photo_folders import Look, completions, look
from ecotui.screens.dialogs.dialog import Dialog
from ecotui.text import is_plain, visible
from ecotui.widgets.line_input import LineInput

MAX_LISTED = 200


class FolderScreen(Dialog[Path]):
    """Asks for a folder; says what seems to be in the one typed.

    Closes with its path, or None.
    """

    DEFAULT_CSS = """
    FolderScreen OptionList { height: 8; border: none; padding: 0; }
    FolderScreen OptionList > .option-list--option-highlighted {
        color: $block-cursor-foreground; background: $block-cursor-background;
        text-style: $block-cursor-text-style; }
    FolderScreen #seen { height: 3; }
    """
    HINT = "Enter takes it, Tab walks in, Shift+Tab out, Esc cancels"
    BINDINGS = [  # noqa: RUF012
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("tab", "walk_in", show=False, priority=True),
        Binding("shift+tab", "walk_out", show=False, priority=True),
    ]

    def __init__(self, start: Path | None = None) -> None:
        super().__init__("Folder of photos, a folder a class")
        self._start = start
        self._names: list[str] = []
        self._has_moved = False
        self._refusal = ""

    def fill(self) -> Iterable[Widget]:
        """Return the line to type in, the folders there, and what the folder seems to hold."""
        yield LineInput(_shown(self._start or Path.cwd()), max_length=4_000, compact=True)
        folders = OptionList(markup=False)
        folders.can_focus = False
        yield folders
        yield Static("", id="seen", classes="told", markup=False)

    def on_mount(self) -> None:
        """Go to the end of the path, and look there."""
        self._look(self.query_one(Input).value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look at what is typed."""
        event.stop()
        self._has_moved = False
        self._refusal = ""
        self._look(event.value)

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self, typed: str) -> None:
        """List the folders that the path may become, and say what it holds; disks may be slow."""
        path, is_whole = _folder(typed), typed.endswith("/")
        _, names = await asyncio.to_thread(completions, path, is_whole)
        self._list(names[:MAX_LISTED])
        self._tell(await asyncio.to_thread(_seen, path))

    def _list(self, names: list[str]) -> None:
        self._names = names
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(f"{visible(name, limit=200)}/")) for name in names])
        options.highlighted = 0 if names else None

    def _tell(self, found: Look | None) -> None:
        if self._refusal:  # which stands until something else is typed
            told = Content.styled(f"✗ {self._refusal}", "$text-error")
        elif found is None:
            told = Content.styled("no such folder yet: go on typing", "$foreground-muted")
        elif found.fault or not (found.counts or found.num_photos):
            told = Content.styled(found.words, "$foreground-muted")
        else:
            told = Content.assemble(("✓ ", "$text-success"), found.words)
        self.query_one("#seen", Static).update(told)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the folder typed, or walk into the one that the cursor was moved to."""
        event.stop()
        if self._has_moved:
            self.action_walk_in()
            return
        path = _folder(event.value)
        if path.is_dir():
            self.dismiss(Path(os.path.abspath(path)))
        else:
            self._refuse("there is no such folder")

    def _refuse(self, why: str) -> None:
        self._refusal = why
        self._tell(None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Walk into a folder that was clicked."""
        event.stop()
        self._walk_to(self._names[event.option_index])

    def action_move(self, by: int) -> None:
        """Move the cursor while the focus stays where one types."""
        options = self.query_one(OptionList)
        self._has_moved = bool(self._names)
        if by < 0:
            options.action_cursor_up()
        else:
            options.action_cursor_down()

    def action_walk_in(self) -> None:
        """Finish the name with the folder under the cursor."""
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._names):
            self._walk_to(self._names[at])

    def action_walk_out(self) -> None:
        """Go to the folder around this one."""
        typed = self.query_one(Input).value
        self._type(_shown(_folder(typed).parent))

    def _walk_to(self, name: str) -> None:
        if not is_plain(name):
            self._refuse(
                f"the name {visible(name, limit=40)} has characters that cannot be typed here: "
                "rename the folder, or give its path in a config"
            )
            return
        typed = self.query_one(Input).value
        folder = typed if typed.endswith("/") else typed[: typed.rfind("/") + 1]
        self._type(f"{folder}{name}/")

    def _type(self, path: str) -> None:
        line = self.query_one(Input)
        line.value = path
        line.cursor_position = len(path)


def _folder(typed: str) -> Path:
    return Path(os.path.abspath(expanded(typed or "/"))) if "\0" not in typed else Path("/")


def _shown(folder: Path) -> str:
    path = str(folder)
    return path if path.endswith("/") else f"{path}/"


def _seen(path: Path) -> Look | None:
    return look(path) if path.is_dir() else None

"""A configuration, field by field, judged as it is typed; written to a file, or trained."""

from __future__ import annotations

import os
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import DataTable, Input, Static

from ecotui.actions.config import CONFIG
from ecotui.config_draft import UNSET, Draft, Field
from ecotui.errors import EcoError
from ecotui.notify_settings import WEBHOOK_KEY
from ecotui.paths import expanded, is_file, shipped_configs, user_config
from ecotui.run_state import RunState
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.dialogs.value import ValueScreen
from ecotui.screens.frame import EcoScreen
from ecotui.screens.messages import ConfigFile, NewRun
from ecotui.text import counted, visible
from ecotui.widgets.line_input import LineInput
from ecotui.widgets.panel import bindings_of

EDITED = "●"
MAX_VALUE_CHARACTERS = 1_000


class ConfigScreen(EcoScreen):
    """Every setting with its value; below, what the one under the cursor means.

    Args:
        draft: What is edited.
    """

    NAME = "config"
    HEADING = "Config"
    CSS_PATH = "config.tcss"
    BINDINGS = bindings_of(CONFIG)
    HELP = """
    Every setting there is, by section. Enter changes the one under the cursor, with a judgement
    as you type; u takes the change back; d goes back to the default. s trains with these
    settings, w writes them to a file. Configs that come with ecotui are copied, never changed.
    """

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._written = draft
        self._sought = ""
        self._fields: list[Field] = []

    def compose_body(self) -> ComposeResult:
        """Lay out the settings, and what is known of the one under the cursor."""
        yield Static("", id="head", markup=False)
        yield LineInput(placeholder="type to find, Enter or Esc goes on", id="sought", compact=True)
        settings: DataTable[Text] = DataTable(id="settings", cursor_type="row", classes="panel")
        settings.border_title = "Settings"
        yield settings
        with Container(id="about", classes="panel") as about:
            about.border_title = "About"
            yield Static("", id="meaning", markup=False)
            yield LineInput(id="value", max_length=MAX_VALUE_CHARACTERS, compact=True)
            yield Static("", id="fault", markup=False)

    def on_mount(self) -> None:
        """List the settings, the cursor on the first one."""
        super().on_mount()
        self.query_one("#sought").display = False
        self.query_one("#value").display = False
        self.query_one("#settings").focus()
        self._list()

    def show(self, state: RunState) -> None:
        """Show nothing of the run followed."""

    def on_resize(self) -> None:
        """Use the room there is now."""
        super().on_resize()
        self._list()

    # What is shown --------------------------------------------------------------------------------

    def _list(self) -> None:
        table = self.query_one("#settings", DataTable)
        at = max(0, table.cursor_row)
        self._fields = [each for each in self._draft.fields() if _fits(each, self._sought)]
        table.clear(columns=True)
        room = max(40, self.size.width - 8)
        table.add_column("", width=1)
        table.add_column("setting", width=min(34, room * 2 // 5))
        table.add_column("value", width=room - min(34, room * 2 // 5) - 4)
        for each in self._fields:
            table.add_row(*_cells(each))
        table.move_cursor(row=min(at, len(self._fields) - 1), animate=False)
        table.border_title = f"Settings · {self._way_on}"
        self._show_head()
        self._show_field()

    def _show_head(self) -> None:
        edits = len(self._draft.edits)
        parts = [
            Content.styled("Config", "bold"),
            Content(visible(self._draft.name)),
            Content.styled(_source_of(self._draft), "$foreground-muted"),
        ]
        if self._is_unsaved:
            words = f"{EDITED} {counted(edits, 'change')} not written"
            parts.append(Content.styled(words, "$text-warning"))
        self.query_one("#head", Static).update(Content("  ").join(parts))

    @property
    def _way_on(self) -> str:
        """What Enter does here; while only some settings are listed, how all come back."""
        if not self._sought:
            return "Enter changes the one under the cursor"
        return f"{len(self._fields):,} found: Enter changes one, Esc lists all again"

    @property
    def _is_unsaved(self) -> bool:
        return dict(self._draft.edits) != dict(self._written.edits)

    @property
    def _field(self) -> Field | None:
        at = self.query_one("#settings", DataTable).cursor_row
        return self._fields[at] if 0 <= at < len(self._fields) else None

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Say what the setting under the cursor means."""
        event.stop()
        self._show_field()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Change the setting that was chosen."""
        event.stop()
        self.action_edit_value()

    def _show_field(self) -> None:
        field = self._field
        if field is None:
            self.query_one("#meaning", Static).update("no setting is called so")
            return
        self.query_one("#about").border_title = visible(field.key)
        usual = f"default: {visible(field.default, limit=120)}"
        lines = [Content(visible(field.about)), Content.styled(usual, "$foreground-muted")]
        if field.choices:
            words = f"one of: {', '.join(field.choices)}"
            lines.append(Content.styled(words, "$foreground-muted"))
        self.query_one("#meaning", Static).update(Content("\n").join(lines))

    # Changing a value -----------------------------------------------------------------------------

    def action_edit_value(self) -> None:
        """Give the setting under the cursor another value."""
        line, field = self.query_one("#value", Input), self._field
        if field is None or line.display:
            return
        line.display = True
        line.value = _typed(field)
        line.focus()
        self._judge(line.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge a value as it is typed, or find settings."""
        event.stop()
        if event.input.id == "value" and event.input.display:
            self._judge(event.value)
        elif event.input.id == "sought" and event.input.display:
            self._seek(event.value)

    def _seek(self, words: str) -> None:
        """List the settings that hold every word; all of them where there is none."""
        if words == self._sought:
            return
        field = self._field
        self._sought = words
        self._list()
        if not words and field is not None:  # The cursor stays on what was found.
            row = [each.key for each in self._fields].index(field.key)
            self.query_one("#settings", DataTable).move_cursor(row=row, animate=False)

    def _judge(self, typed: str) -> str:
        field = self._field
        fault = "" if field is None else self._draft.fault(field.key, typed.strip())
        if fault:
            shown = Content.styled(f"✗ {visible(fault, limit=400)}", "$text-error")
        else:
            words = "✓ fine" if typed.strip() else "✓ back to the default"
            shown = Content.styled(f"{words}; Enter takes it, Esc leaves it", "$text-success")
        self.query_one("#fault", Static).update(shown)
        return fault

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take a value, where it is right; or go on to the settings found."""
        event.stop()
        field = self._field
        is_value = event.input.id == "value" and field is not None
        if is_value and field is not None and event.value != _typed(field):
            if self._judge(event.value):
                return
            self._change(self._draft.edited(field.key, event.value.strip()))
        self._close_lines()

    def _change(self, draft: Draft) -> None:
        self._draft = draft
        self._list()

    def _close_lines(self) -> None:
        for name in ("#value", "#sought"):
            self.query_one(name).display = False
        self.query_one("#fault", Static).update("")
        self.query_one("#settings").focus()

    def action_search(self) -> None:
        """Find settings by their names or by what they do."""
        line = self.query_one("#sought", Input)
        line.value = self._sought
        line.display = True
        line.focus()

    def action_revert_value(self) -> None:
        """Take back what was changed of the setting under the cursor."""
        field = self._field
        if field is not None and field.is_edited:
            self._change(self._draft.reverted(field.key))

    def action_use_default(self) -> None:
        """Go back to the default of the setting under the cursor."""
        field = self._field
        if field is None:
            return
        fault = self._draft.fault(field.key, "")
        if fault:
            self._tell(fault)
        else:
            self._change(self._draft.edited(field.key, ""))

    # What becomes of it ---------------------------------------------------------------------------

    def action_start_run(self) -> None:
        """Train with these settings."""
        try:
            loaded = self._draft.loaded()
        except EcoError as error:
            self._tell("\n".join(map(visible, error.lines())))
            return
        app = self.app
        self.dismiss()
        app.post_message(NewRun(loaded, self._draft))

    def action_save_config(self) -> None:
        """Ask where to, and write the settings there."""
        told = "A TOML file; written whole, remarks of its source kept where that can be."
        start = _shown_path(target_of(self._draft))
        question = ValueScreen("Write to", told, start, self._path_fault)
        self.app.push_screen(question, self._save)

    def _path_fault(self, written: str) -> str:
        path = _path(written)
        if not written or "\0" in written or path.is_dir():
            return "the path of a file"
        if path in shipped_configs().values():
            return "this one belongs to ecotui: choose another name"
        if not path.name.endswith(".toml"):
            return "a name that ends in .toml"
        return "" if path.parent.is_dir() else f"there is no folder {visible(path.parent)}"

    def _save(self, written: str | None) -> None:
        if written is None:
            return
        path = _path(written)
        is_own = path == self._draft.path and not self._draft.is_shipped
        if is_file(path) and not is_own:
            lines = (f"{visible(path)} is there already.", "It would be replaced.")
            question = ConfirmScreen("Replace", lines, yes="Replace it")
            self.app.push_screen(question, lambda sure: self._write(path) if sure else None)
        else:
            self._write(path)

    def _write(self, path: Path) -> None:
        self.app.post_message(ConfigFile(path, self._draft.text(path)))
        self._written = self._draft
        self._show_head()

    def action_close_config(self) -> None:
        """Leave what is being typed, or go back to the home."""
        if self.query_one("#value").display or self.query_one("#sought").display:
            if self.query_one("#sought").display:
                self._seek("")
            self._close_lines()
        elif self._sought:
            self._seek("")
        elif self.maximized is not None:
            self.minimize()
        elif self._is_unsaved:
            count = counted(len(self._draft.edits), "change")
            lines = (f"{count} would be lost.", "w writes them to a file, s trains with them.")
            question = ConfirmScreen("Leave", lines, yes="Leave without writing")
            self.app.push_screen(question, self._close_if)
        else:
            self.dismiss()

    def _close_if(self, is_sure: bool | None) -> None:
        if is_sure:
            self.dismiss()

    def _tell(self, words: str) -> None:
        self.app.notify(words, severity="error", markup=False)


def target_of(draft: Draft) -> Path:
    """Return where a draft is best written: over the user's own file, or as a new one here."""
    if draft.path is not None and not draft.is_shipped:
        return draft.path
    number, target = 2, Path.cwd() / f"my-{draft.name}.toml"
    while target.exists():
        target = Path.cwd() / f"my-{draft.name}-{number}.toml"
        number += 1
    return target


def _path(written: str) -> Path:
    return Path(os.path.abspath(expanded(written))) if "\0" not in written else Path("/")


def _shown_path(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _source_of(draft: Draft) -> str:
    if draft.path is None:
        return "new"
    if draft.is_shipped:
        is_run = draft.path.name == "config.toml"
        return "of a run: its copy is edited" if is_run else "comes with ecotui: a copy is edited"
    if draft.path == user_config():
        return "what every run starts from"
    return visible(draft.path)


def _typed(field: Field) -> str:
    """Return a value as one would type it: without quotes, empty for none, no secret."""
    value = "" if field.value == UNSET or field.key == WEBHOOK_KEY else field.value
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if is_quoted and "\\" not in value else value


def _fits(field: Field, sought: str) -> bool:
    held = f"{field.key} {field.about}".casefold()
    return all(word in held for word in sought.casefold().split())


def _cells(field: Field) -> tuple[Text, ...]:
    is_set = field.value != field.default
    value = Text(visible(field.value, limit=200), overflow="ellipsis", no_wrap=True)
    if is_set:
        value.stylize("bold")
    mark = EDITED if field.is_edited else "*" if is_set else ""
    return (Text(mark), Text(field.key, overflow="ellipsis", no_wrap=True), value)

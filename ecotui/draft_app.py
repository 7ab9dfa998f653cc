"""The app as a place where a config is prepared: checked, changed, and started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.reactive import reactive

from ecotui.actions.table import BY_ID
from ecotui.app_settings import AppSettings
from ecotui.errors import EcoError, UsageError
from ecotui.run_app import RunApp
from ecotui.screens import messages
from ecotui.text import visible

if TYPE_CHECKING:  # Nothing of this is needed before something is checked.
    from ecotui.amending import Amendments
    from ecotui.config_file import LoadedConfig
    from ecotui.draft import Draft


class DraftApp(RunApp):
    """Holds the config that the next run is to be started from, and writes its changes.

    Attributes:
        draft: That config, as screens see it; None where none is known.
    """

    draft: reactive[Draft | None] = reactive(None, repaint=False)

    def __init__(self, runs_dir: Path, settings: AppSettings, *, first_screen: str) -> None:
        super().__init__(runs_dir, settings, first_screen=first_screen)
        self._amendments: Amendments | None = None
        self._opened: object = None
        self._one_at_a_time = asyncio.Lock()

    def prepare(self, opening: object) -> None:
        """Note what is opened: its config is the one that changes are meant for.

        Args:
            opening: A config that is started, or a run that is shown.
        """
        self._opened = opening
        if self._amendments is not None and not self._is_about(opening):
            self._amendments = None
            self.draft = None

    def _is_about(self, opening: object) -> bool:
        from ecotui.config_file import LoadedConfig

        known = self._amendments
        return isinstance(opening, LoadedConfig) and known is not None and known.is_about(opening)

    def _choose(self, loaded: LoadedConfig) -> Amendments:
        """Return the changes to a config that was chosen, none where it is another one."""
        from ecotui.amending import Amendments

        if self._amendments is None or not self._amendments.is_about(loaded):
            self._amendments = Amendments(loaded, Path.cwd())
        return self._amendments

    def _prepared(self) -> Amendments:
        """Return the changes to the config at hand: the one chosen, or that of the run shown.

        Raises:
            UsageError: There is none, or it cannot be read.
        """
        from ecotui.amending import Amendments
        from ecotui.config_file import LoadedConfig, load_config

        if self._amendments is not None:
            return self._amendments
        if isinstance(self._opened, LoadedConfig):
            return self._choose(self._opened)
        if self.run_dir is None:
            raise UsageError(
                "no config is chosen yet",
                "a config to check",
                "choose one on the preflight screen (C)",
            )
        of_run = load_config(str(self.run_dir.config))
        name = of_run.config.name or self.run_dir.run_id
        known = LoadedConfig(of_run.config, of_run.path, name)
        self._amendments = Amendments(known, Path.cwd(), is_own=False)
        return self._amendments

    # Checking and starting ------------------------------------------------------------------------

    @on(messages.Check)
    async def _check(self, event: messages.Check) -> None:
        from ecotui.jobs import PreflightJob

        if self.settings.is_readonly:
            return
        try:
            loaded = await asyncio.to_thread(self._checked, event)
        except EcoError as error:
            self.tell(error)
            return
        await self._note_draft()
        preflight = loaded.config.preflight
        # Who asks for a check wants one, also where runs go without.
        level = "full" if event.is_full else "quick" if preflight.level == "off" else ""
        if level:
            changed = preflight.model_copy(update={"level": level})
            config = loaded.config.model_copy(update={"preflight": changed})
            loaded = type(loaded)(config, loaded.path, loaded.name, loaded.settings)
        self.post_message(messages.Errand(PreflightJob(), loaded))
        if self.current_mode != "preflight":
            self.action_show_screen("preflight")

    def _checked(self, event: messages.Check) -> LoadedConfig:
        from ecotui.config_file import load_config

        if event.reference:
            loaded = load_config(event.reference, event.settings)
            self._choose(loaded)
            return loaded
        return self._prepared().reload()

    @on(messages.DraftStart)
    async def _start_draft(self) -> None:
        if self.settings.is_readonly:
            return
        try:
            loaded = await asyncio.to_thread(lambda: self._prepared().reload())
        except EcoError as error:
            self.tell(error)
            return
        await self._note_draft()
        self._is_following = True
        self.post_message(messages.NewRun(loaded))

    # Changing -------------------------------------------------------------------------------------

    @on(messages.DraftChange)
    def _change(self, event: messages.DraftChange) -> None:
        self._amend(lambda known: known.put(event.settings, event.words))

    @on(messages.DraftAcceptance)
    def _accept(self, event: messages.DraftAcceptance) -> None:
        def act(known: Amendments) -> str:
            accepted = known.draft.loaded.config.preflight.accept
            words = f"accept the warnings of {event.check}"
            if event.check in accepted:
                return f"{event.check} is accepted already"
            return known.put({"preflight": {"accept": [*accepted, event.check]}}, words)

        self._amend(act)

    @on(messages.DraftExclusion)
    def _exclude(self, event: messages.DraftExclusion) -> None:
        from ecotui.amending import names_found, names_shown

        def act(known: Amendments) -> str:
            every = not event.leaves_out
            if event.file:
                path = event.run.path / event.file
                names = names_found(path, event.category, event.numbers, every=every)
            else:
                names = names_shown(event.names)
            change = known.leave_out if event.leaves_out else known.keep
            return change(names, event.words)

        self._amend(act)

    @on(messages.DraftUndo)
    def _undo(self) -> None:
        self._amend(lambda known: known.undo(), is_undoing=True)

    @work(group="draft", exit_on_error=False)
    async def _amend(self, act: Callable[[Amendments], str], *, is_undoing: bool = False) -> None:
        """Change files, one change after the other, and say what was done."""
        if self.settings.is_readonly:
            return
        async with self._one_at_a_time:
            try:
                told = await asyncio.to_thread(lambda: act(self._prepared()))
            except EcoError as error:
                self.tell(error)
                return
            finally:
                await self._note_draft()
        hint = ""
        if not is_undoing and self._has_changes():
            hint = f"; {self.keys_of(BY_ID['preflight.undo'])} takes it back"
        self.notify(visible(told) + hint, timeout=8, markup=False)

    def _has_changes(self) -> bool:
        return self.draft is not None and bool(self.draft.changes)

    async def _note_draft(self) -> None:
        """Show the config as it stands; nothing where there is none."""
        known = self._amendments
        if known is not None:
            self.draft = await asyncio.to_thread(lambda: known.draft)

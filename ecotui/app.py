"""The terminal app: opens runs and leaves them, and does short jobs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.reactive import reactive

from ecotui import launching, terminal
from ecotui.app_settings import AppSettings
from ecotui.draft_app import DraftApp
from ecotui.errors import EcoError, ExitCode
from ecotui.kept_starts import KeptStarts
from ecotui.paths import RunDir
from ecotui.screens import messages
from ecotui.text import counted, listed, visible

if TYPE_CHECKING:  # Imported when they are needed: the first frame is not to wait for them.
    from ecotui.errand_state import ErrandState
    from ecotui.errands import Errand
    from ecotui.openings import Opening
    from ecotui.paced_replay import PacedReplay
    from ecotui.screens.dialogs.leave import Leave
    from ecotui.session_factory import EngineSession, SessionFactory


SECONDS_TO_LOOK_ROUND = 1.0
"""From home's first frame until an engine loads its libraries: who leaves at once has none."""

SECONDS_TO_CHOOSE = 600.0
"""After that the engine is let go: it holds some 300 MB that others may need."""


class EcoApp(DraftApp):
    """A reader of one run, with keys that ask things of it.

    Screens read it through `ecotui.screens.host.Host` and speak to it in `ecotui.screens.messages`.

    Attributes:
        errand: The short job under way or just done.
        kept_starts: Starts on folders of photos that came to nothing, with what was typed.
        visited: The runs that the screen visited last is about.
        failure: Why the app could not open what it was to open.
    """

    errand: reactive[ErrandState | None] = reactive(None, repaint=False)

    def __init__(
        self,
        opening: Opening | None,
        runs_dir: Path,
        *,
        sessions: SessionFactory | None = None,
        settings: AppSettings | None = None,
    ) -> None:
        first_screen = "home" if opening is None else "opening"
        chosen = AppSettings() if settings is None else settings
        super().__init__(runs_dir, chosen, first_screen=first_screen)
        self.failure: EcoError | None = None
        self.kept_starts = KeptStarts()
        self.visited: tuple[RunDir, ...] = ()
        self._opening = opening
        self._chosen_sessions = sessions
        self._errand: Errand | None = None
        self._leaves_at_end = False
        self._has_prepared = False

    @property
    def sessions(self) -> SessionFactory:
        """How engines are started and followed."""
        from ecotui.session_factory import REAL_ENGINE

        return REAL_ENGINE if self._chosen_sessions is None else self._chosen_sessions

    def on_mount(self) -> None:
        """Open what was asked for, and leave with the terminal when it goes."""
        if not self.is_headless:
            terminal.leave_with_the_terminal(self.action_detach)
        self.app_resume_signal.subscribe(self, self._draw_anew)
        self.call_after_refresh(launching.settle)
        if self._opening is not None:
            self.call_after_refresh(self._open_first, self._opening)
        elif not self.settings.is_readonly:
            self.set_timer(SECONDS_TO_LOOK_ROUND, self._prepare_an_engine)

    async def _prepare_an_engine(self) -> None:
        """Have the libraries of a training loaded while a person still chooses."""
        self._has_prepared = True
        await asyncio.to_thread(self._prepare)
        self.set_timer(SECONDS_TO_CHOOSE, self.sessions.relax)

    def _prepare(self) -> None:
        # How engines are started takes a while to be imported.
        self.sessions.prepare()

    def _draw_anew(self, _: object) -> None:
        """Draw everything: the shell had the terminal, and left nothing of what was drawn."""
        self.action_redraw()

    async def _open_first(self, opening: Opening) -> None:
        # What events are is imported once there is a frame, and keys are heard meanwhile.
        await asyncio.to_thread(import_module, "ecotui.following")
        try:
            self.show_run(self._session_of(opening))
        except EcoError as error:
            self.failure = error
            self.exit(error.exit_code)

    def _session_of(self, opening: Opening) -> EngineSession:
        from ecotui.openings import session_of

        self.prepare(opening)
        return session_of(opening, self.sessions, self.runs_dir)

    # Going about ----------------------------------------------------------------------------------

    @on(messages.Visit)
    def _visit(self, event: messages.Visit) -> None:
        self.visited = tuple(event.runs)
        self.action_show_screen(event.screen)

    def action_home(self) -> None:
        """Go back to the configs and runs; a run that is alive goes on."""
        session = self.leave_run()
        self.switch_mode("home")
        if session is not None and session.ended:
            self._tidy(session)

    @work(group="tidy", exit_on_error=False)
    async def _tidy(self, session: EngineSession) -> None:
        """Remove the directory of a run that failed before it began anything."""
        await asyncio.to_thread(session.discard)

    @on(messages.ConfigChoice)
    def _start_config(self, event: messages.ConfigChoice) -> None:
        from ecotui.config_file import load_config

        try:
            self._open(load_config(event.reference, event.settings))
        except EcoError as error:
            self.tell(error)

    @on(messages.NewRun)
    def _start_new(self, event: messages.NewRun) -> None:
        fault = self._open(event.loaded)
        if event.draft is not None and not self.settings.is_readonly:
            self.kept_starts.begin(event.draft, None if fault else self.run_dir, fault)

    def watch_run_state(self) -> None:
        """Keep what a run was started with that came to nothing; the screens say so."""
        if self.run_state.ending is not None:
            from ecotui.summary import fault_before_training

            self.kept_starts.end(self.run_dir, fault_before_training(self.run_state))
        super().watch_run_state()

    @on(messages.RunChoice)
    def _watch_run(self, event: messages.RunChoice) -> None:
        self._open(event.run, event.screen)

    def _open(self, opening: Opening, screen: str = "") -> Sequence[str]:
        """Show a run, and return why that could not be, in lines."""
        if self.settings.is_readonly and not isinstance(opening, RunDir):
            return ()
        try:
            self.show_run(self._session_of(opening), screen=screen)
        except EcoError as error:
            self.tell(error)
            return error.lines()
        return ()

    async def action_resume(self) -> None:
        """Go on with a run that ended before it was finished."""
        session = self.desk.session
        if session is None or self.desk.is_resuming:
            return
        attempt = self.run_state.attempt
        self.desk.take(session, resuming_after=attempt)
        self.pending = self.desk.words
        # Its engine may still hold the lock for a moment.
        await asyncio.to_thread(session.wait_until_gone)
        try:
            self.show_run(self.sessions.launch(session.run), resuming_after=attempt)
        except EcoError as error:
            self.desk.close()
            self.pending = ""
            self.tell(error)

    @on(messages.Resumption)
    async def _resume_with(self, event: messages.Resumption) -> None:
        from ecotui import resuming, storage

        if self.settings.is_readonly:
            return
        try:
            plan = await asyncio.to_thread(resuming.plan_for, event.run, event.settings)
            for path in event.without:
                await asyncio.to_thread(storage.delete_checkpoint, event.run, path)
            self.show_run(self.sessions.launch(plan.run, plan.settings))
        except EcoError as error:
            self.tell(error)

    @on(messages.Deletion)
    def _ask_to_delete(self, event: messages.Deletion) -> None:
        from ecotui.screens.dialogs.confirm import ConfirmScreen

        runs = tuple(event.runs)
        if self.settings.is_readonly or not runs:
            return
        names = listed(run.run_id for run in runs)
        lines = (f"{names}, with every checkpoint in it.", "This cannot be undone.")
        question = ConfirmScreen("Delete", lines, yes=f"Delete {counted(len(runs), 'run')}")
        self.push_screen(question, partial(self._delete_if, runs))

    def _delete_if(self, runs: Sequence[RunDir], is_sure: bool | None) -> None:
        if is_sure:
            self._delete(runs)
        self._after_dialog()

    @work(group="delete", exit_on_error=False)
    async def _delete(self, runs: Sequence[RunDir]) -> None:
        from ecotui import storage

        for run in runs:
            try:
                await asyncio.to_thread(storage.delete_run, run)
                self.notify(f"deleted {visible(run.run_id)}", markup=False)
            except EcoError as error:
                self.tell(error)

    @on(messages.ConfigFile)
    async def _write_config(self, event: messages.ConfigFile) -> None:
        from ecotui import storage

        if self.settings.is_readonly:
            return
        try:
            await asyncio.to_thread(storage.write_config, event.path, event.text)
            self.notify(f"written: {visible(event.path)}", markup=False)
        except EcoError as error:
            self.tell(error)

    @on(messages.CheckpointDeletion)
    def _ask_to_delete_checkpoint(self, event: messages.CheckpointDeletion) -> None:
        from ecotui.screens.dialogs.confirm import ConfirmScreen

        if self.settings.is_readonly:
            return
        lines = (f"{event.path} of {event.run.run_id}.", event.remark, "This cannot be undone.")
        question = ConfirmScreen("Delete", list(filter(None, lines)), yes="Delete the checkpoint")
        self.push_screen(question, partial(self._delete_checkpoint_if, event))

    def _delete_checkpoint_if(
        self, event: messages.CheckpointDeletion, is_sure: bool | None
    ) -> None:
        if is_sure:
            self._delete_checkpoint(event)
        self._after_dialog()

    @work(group="delete", exit_on_error=False)
    async def _delete_checkpoint(self, event: messages.CheckpointDeletion) -> None:
        from ecotui import storage

        try:
            await asyncio.to_thread(storage.delete_checkpoint, event.run, event.path)
            self.notify(f"deleted {visible(event.path)}", markup=False)
        except EcoError as error:
            self.tell(error)

    # Errands --------------------------------------------------------------------------------------

    @on(messages.Errand)
    def _take_errand(self, event: messages.Errand) -> None:
        from ecotui.errands import Errand

        if self.errand is not None and not self.errand.is_over:
            told = f"one thing at a time: {visible(self.errand.job.kind)} is still under way"
            self.notify(told, severity="warning", markup=False)
        elif not self.settings.is_readonly:
            if event.config is not None:
                self.prepare(event.config)
            self.run_errand(Errand(event.job, event.config, self.sessions, self.runs_dir))

    @work(group="errand", exclusive=True, exit_on_error=False)
    async def run_errand(self, errand: Errand) -> None:
        """Do a short job and follow it to its end."""
        before, self._errand = self._errand, errand
        if before is not None:
            await asyncio.to_thread(before.close)
        async for self.errand in errand.states():
            pass

    @on(messages.ErrandEnd)
    def _end_errand(self) -> None:
        try:
            if self._errand is not None:
                self._errand.stop()
        except EcoError as error:
            self.tell(error)

    async def on_unmount(self) -> None:
        """Take the directory of the last errand along, and the engine that nobody needed."""
        if self._has_prepared:
            self.sessions.relax()
        if self._errand is not None:
            self._end_errand()
            await asyncio.to_thread(self._errand.close)

    # Playing a log again --------------------------------------------------------------------------

    @on(messages.ReplayChoice)
    def _play_again(self, event: messages.ReplayChoice) -> None:
        from ecotui.paced_replay import PacedReplay

        try:
            self.show_run(PacedReplay(event.run))
        except EcoError as error:
            self.tell(error)

    def action_replay_pause(self) -> None:
        """Stand still, or go on."""
        self._play(lambda replay: replay.turn_pause())

    def action_replay_speed(self, by: int) -> None:
        """Play faster or slower."""
        self._play(lambda replay: replay.change_speed(by))

    def action_replay_step(self) -> None:
        """Play one event more."""
        self._play(lambda replay: replay.step())

    def action_replay_alert(self) -> None:
        """Go to the next alert."""
        self._play(self._seek_alert)

    def _seek_alert(self, replay: PacedReplay) -> None:
        if not replay.to_alert():
            self.notify("no alert comes after this", severity="warning")

    def action_replay_end(self) -> None:
        """Go to the end of the log."""
        self._play(lambda replay: replay.to_end())

    def _play(self, change: Callable[[PacedReplay], object]) -> None:
        replay = self.desk.replay
        if replay is not None and not replay.ended:
            change(replay)
            self.pending = self.desk.words

    # Leaving --------------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Leave at once where nothing is going; ask otherwise."""
        from ecotui.screens.dialogs.leave import LeaveScreen

        if not self.desk.is_live:
            self.exit(self.run_exit_code())
        elif not isinstance(self.screen, LeaveScreen):
            can_stop = not self.settings.is_readonly
            self.push_screen(LeaveScreen(can_stop=can_stop), self._leave)

    def _leave(self, answer: Leave | None) -> None:
        if answer == "detach":
            self.action_detach()
        elif answer == "stop":
            self._leaves_at_end = True
            self.action_stop()
        self._after_dialog()

    def action_detach(self) -> None:
        """Leave the app; the run goes on."""
        self.exit(ExitCode.DONE)

    def run_is_over(self) -> None:
        """Leave, where somebody waits for that or is still asked what becomes of the run."""
        from ecotui.screens.dialogs.leave import LeaveScreen

        if self._leaves_at_end or isinstance(self.screen, LeaveScreen):
            self.exit(self.run_exit_code())

    def run_exit_code(self) -> int:
        """Return what the command exits with: the run's code once it has ended, else 0."""
        from ecotui.summary import exit_code

        session = self.desk.session
        has_ended = session is not None and session.ended and self.desk.replay is None
        return exit_code(self.run_state.ending) if has_ended else ExitCode.DONE

"""The terminal app: owns the session, the one worker that follows it, and the one `run_state`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from textual import on, work
from textual.app import App
from textual.binding import Binding
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.worker import Worker, WorkerState

from ecotui import storage, terminal
from ecotui.commands import Command, ContinueRun, PauseRun, SaveCheckpoint, StopRun
from ecotui.config_file import LoadedConfig, load_config
from ecotui.errors import EcoError, ExitCode
from ecotui.events import (
    AnyEvent,
    CheckpointSaved,
    CommandAnswered,
    EngineStarted,
    RunContinued,
    RunFinished,
    RunPaused,
)
from ecotui.paths import RunDir
from ecotui.screens.diagnostic import DiagnosticScreen
from ecotui.screens.dialogs import HelpScreen, Leave, LeaveScreen
from ecotui.screens.home import HomeScreen
from ecotui.screens.preflight import PreflightScreen
from ecotui.screens.run_screen import fitting_screen
from ecotui.screens.training import TrainingScreen
from ecotui.session_factory import REAL_ENGINE, EngineSession, SessionFactory
from ecotui.state import RunState, fold
from ecotui.summary import exit_code
from ecotui.text import visible

READ_INTERVAL_SECONDS = 0.1
STOPPING = "stopping, saving a checkpoint"
SAVING = "checkpoint asked for"
PAUSING = "pausing"
CONTINUING = "going on"
RESUMING = "resuming"
_PENDING = {
    "stop_run": STOPPING,
    "pause_run": PAUSING,
    "continue_run": CONTINUING,
    "save_checkpoint": SAVING,
}
"""What is pending, the weightiest first."""
_SCREENS = Binding.Group("Screens", compact=True)


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that is to go on from its newest checkpoint."""

    run: RunDir


Opening = LoadedConfig | RunDir | Resumption | None
"""A config to start, a run to watch, one to go on with, or the home."""


class EcoApp(App[int]):
    """A reader of one run, with keys that ask things of it.

    Attributes:
        run_state: The run as of the last batch of events.
        pending: What was asked of the engine and is not done yet, in words.
        failure: Why the app could not open what it was to open.
    """

    TITLE = "ecotui"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012
        Binding("1", "show_screen('diagnostic')", "Diagnostic", group=_SCREENS),
        Binding("2", "show_screen('preflight')", "Preflight", group=_SCREENS),
        Binding("3", "show_screen('training')", "Training", group=_SCREENS),
        Binding("s", "stop", "Stop", tooltip="save a checkpoint and stop"),
        Binding("c", "save_checkpoint", "Checkpoint", tooltip="save a checkpoint now"),
        Binding("p", "pause", "Pause", tooltip="stand still between two steps; again: go on"),
        Binding("r", "resume", "Resume", tooltip="go on from the newest checkpoint"),
        Binding("d", "detach", "Detach", tooltip="leave the app; the run goes on"),
        Binding("h", "home", "Home", tooltip="configs and runs, once the run has ended"),
        Binding("question_mark", "help", "Keys", tooltip="this list"),
        Binding("q", "quit", "Quit", tooltip="leave; asks first while the run is going"),
        Binding("ctrl+c,ctrl+q", "quit", "Quit", show=False, priority=True),
    ]

    run_state: reactive[RunState] = reactive(RunState(), repaint=False)
    pending: reactive[str] = reactive("", repaint=False)

    def __init__(
        self, opening: Opening, runs_dir: Path, *, sessions: SessionFactory = REAL_ENGINE
    ) -> None:
        super().__init__()
        self.failure: EcoError | None = None
        self._opening = opening
        self._runs_dir = runs_dir
        self._sessions = sessions
        self._session: EngineSession | None = None
        self._asked: dict[str, Command] = {}
        self._last_attempt = 0
        self._is_following = True
        self._leaves_at_end = False
        self.theme = "nord"
        self.add_mode("home", lambda: HomeScreen(runs_dir))
        self.add_mode("diagnostic", DiagnosticScreen)
        self.add_mode("preflight", PreflightScreen)
        self.add_mode("training", TrainingScreen)

    @property
    def session(self) -> EngineSession | None:
        """The session of the run shown; None at home."""
        return self._session

    @property
    def run_dir(self) -> RunDir | None:
        """The directory of the run shown; None at home."""
        return None if self._session is None else self._session.run

    def on_mount(self) -> None:
        """Open what was asked for, and leave with the terminal when it goes."""
        if not self.is_headless:
            terminal.leave_with_the_terminal(self._detach)
        try:
            self._open(self._opening)
        except EcoError as error:
            self.failure = error
            self.exit(error.exit_code)

    # Opening and following a run ------------------------------------------------------------------

    def _open(self, opening: Opening) -> None:
        if opening is None:
            self.switch_mode("home")
        elif isinstance(opening, RunDir):
            self._show_run(self._sessions.attach(opening))
        elif isinstance(opening, Resumption):
            self._show_run(self._sessions.launch(opening.run))
        else:
            self._show_run(self._sessions.launch(storage.create_run(opening, self._runs_dir)))

    def _show_run(self, session: EngineSession, pending: str = "") -> None:
        self._session = session
        self._asked.clear()
        self._is_following = True
        self.run_state = RunState()
        self.pending = pending
        if self.current_mode not in ("diagnostic", "preflight", "training"):
            self.switch_mode("diagnostic")
        self.follow_run(session)
        self.refresh_bindings()

    @work(group="run", exclusive=True, exit_on_error=False)
    async def follow_run(self, session: EngineSession) -> None:
        """Read the run's events to its end; the state is assigned once a batch.

        A long history is read bite by bite, so that no frame waits for it.
        """
        state, shown_at = RunState(), 0.0
        while True:
            found = [event for _, event in session.read()]
            state = reduce(fold, found, state)
            self._settle(found)
            if found and time.monotonic() - shown_at < READ_INTERVAL_SECONDS:
                await asyncio.sleep(0)
                continue
            self.run_state = replace(state, num_unknown_lines=session.num_unknown_lines)
            shown_at = time.monotonic()
            if session.ended and not found:
                break
            await asyncio.sleep(0 if found else READ_INTERVAL_SECONDS)
        self._end()

    def _end(self) -> None:
        self._asked.clear()
        self.pending = ""
        self.refresh_bindings()
        if self._leaves_at_end:
            self.exit(self.run_exit_code())

    def watch_run_state(self) -> None:
        """Let the screens follow the stages, unless a person chose one."""
        self._follow_stages()

    def _follow_stages(self) -> None:
        if self._session is None or not self._is_following:
            return
        if self.run_state.attempt and not isinstance(self.screen, ModalScreen):
            self.switch_mode(fitting_screen(self.run_state))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so where the run can no longer be read; the run itself goes on."""
        if event.worker.group == "run" and event.state is WorkerState.ERROR:
            told = f"the run can no longer be read: {visible(event.worker.error)}"
            self.notify(told, severity="error", timeout=60, markup=False)

    # Asking things of it --------------------------------------------------------------------------

    def _ask(self, command: Command) -> None:
        if self._session is None:
            return
        try:
            self._session.request(command)
        except EcoError as error:
            self._tell(error)
            return
        self._asked[command.id] = command
        self._show_pending()

    def _settle(self, found: Sequence[AnyEvent]) -> None:
        """Take off the list what was refused or done."""
        for event in found if self._asked or self.pending else ():
            if isinstance(event, CommandAnswered) and not event.accepted:
                if self._asked.pop(event.command_id, None) is not None:
                    why = f"refused: {visible(event.command)}: {visible(event.why)}"
                    self.notify(why, severity="warning", markup=False)
            elif isinstance(event, CheckpointSaved) and event.reason == "request":
                self._forget("save_checkpoint")
            elif isinstance(event, RunPaused):
                self._forget("pause_run")
            elif isinstance(event, RunContinued):
                self._forget("continue_run")
            elif not (isinstance(event, EngineStarted) and event.attempt > self._last_attempt):
                continue
            self._show_pending()

    def _forget(self, kind: str) -> None:
        self._asked = {key: asked for key, asked in self._asked.items() if asked.kind != kind}

    def _show_pending(self) -> None:
        kinds = {command.kind for command in self._asked.values()}
        self.pending = next((words for kind, words in _PENDING.items() if kind in kinds), "")

    def _tell(self, error: EcoError) -> None:
        told = "\n".join(visible(line) for line in (*error.lines(), *error.more))
        self.notify(told, severity="error", timeout=20, markup=False)

    # Keys -----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        del parameters
        session = self._session
        if action == "show_screen":
            return session is not None
        if action in ("stop", "save_checkpoint", "pause", "detach"):
            return session is not None and not session.ended
        if action == "home":
            return session is not None and session.ended
        if action == "resume":
            return session is not None and session.ended and self._is_resumable()
        return True

    def action_show_screen(self, name: str) -> None:
        """Go to a screen and stay there."""
        self._is_following = False
        self.switch_mode(name)

    def action_stop(self) -> None:
        """Have a checkpoint saved and the run stopped."""
        if self.pending != STOPPING:
            self._ask(StopRun(reason="key s"))

    def action_save_checkpoint(self) -> None:
        """Have a checkpoint saved."""
        self._ask(SaveCheckpoint())

    def action_pause(self) -> None:
        """Have the run stand still, or go on where it does."""
        if self.pending in (PAUSING, CONTINUING):
            return
        is_paused = self.run_state.standing.paused is not None
        self._ask(ContinueRun() if is_paused else PauseRun())

    async def action_resume(self) -> None:
        """Go on with a run that ended before it was finished."""
        session = self._session
        if session is None or self.pending == RESUMING:
            return
        self.pending = RESUMING
        self._last_attempt = self.run_state.attempt
        # Its engine may still hold the lock for a moment.
        await asyncio.to_thread(session.wait_until_gone)
        try:
            self._show_run(self._sessions.launch(session.run), RESUMING)
        except EcoError as error:
            self.pending = ""
            self._tell(error)

    def action_detach(self) -> None:
        """Leave the app; the run goes on."""
        self._detach()

    async def action_home(self) -> None:
        """Go back to the configs and runs."""
        session, self._session = self._session, None
        if session is not None:
            await asyncio.to_thread(session.discard)
        self.run_state = RunState()
        self.switch_mode("home")
        self.refresh_bindings()

    def action_help(self) -> None:
        """Show the keys."""
        rows = [
            (self.get_key_display(binding), binding.tooltip or binding.description)
            for binding in Binding.make_bindings(self.BINDINGS)
        ]
        rows += [
            ("Tab, Shift+Tab", "next or previous panel"),
            ("arrows, PgUp, PgDn", "scroll the panel"),
        ]
        self.push_screen(HelpScreen(rows), self._after_dialog)

    async def action_quit(self) -> None:
        """Leave at once where nothing is going; ask otherwise."""
        if self._session is None or self._session.ended:
            self.exit(self.run_exit_code())
        elif not isinstance(self.screen, LeaveScreen):
            self.push_screen(LeaveScreen(), self._leave)

    def _leave(self, answer: Leave | None) -> None:
        if answer == "detach":
            self._detach()
        elif answer == "stop":
            self._leaves_at_end = True
            self.action_stop()
        self._after_dialog()

    def _after_dialog(self, _: object = None) -> None:
        self.call_after_refresh(self._follow_stages)

    def _detach(self) -> None:
        self.exit(ExitCode.DONE)

    def _is_resumable(self) -> bool:
        ending = self.run_state.ending
        is_done = isinstance(ending, RunFinished) or getattr(ending, "discard", False)
        return ending is not None and not is_done

    def run_exit_code(self) -> int:
        """Return what the command exits with: the run's code once it has ended, else 0."""
        if self._session is None or not self._session.ended:
            return ExitCode.DONE
        return exit_code(self.run_state.ending)

    # Home -----------------------------------------------------------------------------------------

    @on(HomeScreen.ConfigChosen)
    def _start_config(self, event: HomeScreen.ConfigChosen) -> None:
        try:
            self._open(load_config(event.reference, ()))
        except EcoError as error:
            self._tell(error)

    @on(HomeScreen.RunChosen)
    def _watch_run(self, event: HomeScreen.RunChosen) -> None:
        self._open(event.run)

"""The app as a reader of one run: the one worker, the one `run_state`, and what is asked of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.worker import Worker, WorkerState

from ecotui import terminal
from ecotui.actions.action import Situation
from ecotui.app_settings import AppSettings
from ecotui.desk import Desk
from ecotui.errors import EcoError
from ecotui.log_lines import PackedLines
from ecotui.no_run import NO_RUN
from ecotui.pacing import Pace
from ecotui.paths import RunDir
from ecotui.screens import messages
from ecotui.screens.fitting import fitting_screen
from ecotui.screens.table import OF_A_RUN, SCREENS
from ecotui.shell import Shell
from ecotui.text import visible

if TYPE_CHECKING:  # Imported when there is a run: the home is seen before.
    from ecotui.commands import Command
    from ecotui.events import AnyEvent
    from ecotui.run_state import RunState
    from ecotui.session_factory import EngineSession

ASKED_HERE = "asked in the app"


class RunApp(Shell):
    """Follows a run and asks things of its engine.

    Attributes:
        run_state: The run as of the last batch of events.
        pending: What was asked of the engine and is not done yet, in words.
        alerts: Every alert of the run shown, and every sample set aside, as lines of the log.
        pace: How often the screen is drawn anew.
        desk: The session of the run shown, and what was asked of it.
    """

    run_state: reactive[RunState] = reactive(cast("RunState", NO_RUN), repaint=False)
    pending: reactive[str] = reactive("", repaint=False)

    def __init__(self, runs_dir: Path, settings: AppSettings, *, first_screen: str) -> None:
        # Made at once in place of an empty one that Textual would put there before it.
        self.DEFAULT_MODE = first_screen  # type: ignore[misc]
        super().__init__(runs_dir, settings)
        self.alerts = PackedLines()
        self.pace = Pace(settings.frames_per_second, time.monotonic)
        self.desk = Desk()
        self._is_following = True
        self._first_screen = ""
        self._situation = Situation()
        for name, make in SCREENS.items():
            self.add_mode(name, make)

    @property
    def session(self) -> EngineSession | None:
        """The session of the run shown; None at home."""
        return self.desk.session

    @property
    def run_dir(self) -> RunDir | None:
        """The directory of the run shown; None at home."""
        return None if self.desk.session is None else self.desk.session.run

    @property
    def situation(self) -> Situation:
        """What decides which actions are possible now."""
        state, session = self.run_state, self.desk.session
        if session is None:
            return Situation(screen=self.current_mode, is_readonly=self.settings.is_readonly)
        is_live = self.desk.is_live
        return Situation(
            screen=self.current_mode,
            has_run=True,
            is_live=is_live,
            has_begun_training=state.facts is not None,
            is_paused=is_live and state.standing.paused is not None,
            is_resumable=not is_live and self.desk.replay is None and _is_resumable(state),
            is_readonly=self.settings.is_readonly,
            is_replay=self.desk.replay is not None,
            is_playing=self.desk.replay is not None and not self.desk.replay.ended,
            pending=self.desk.kinds,
        )

    # Following a run ------------------------------------------------------------------------------

    def show_run(
        self, session: EngineSession, *, resuming_after: int | None = None, screen: str = ""
    ) -> None:
        """Follow a run from its first event, in place of any other.

        Args:
            session: Of the run.
            resuming_after: The attempt that ended, where this session begins the next one.
            screen: Where to stay; empty to follow the stages.
        """
        self.desk.take(session, resuming_after=resuming_after)
        from ecotui.run_state import RunState

        self._is_following = not screen
        self._first_screen = screen
        self.alerts.clear()
        self.run_state = RunState()
        self.pending = self.desk.words
        self.follow_run(session)
        self._note_situation()

    @work(group="run", exclusive=True, exit_on_error=False)
    async def follow_run(self, session: EngineSession) -> None:
        """Read the run's events to its end; the state is assigned once a batch."""
        from ecotui.following import batches

        waiting = partial(terminal.frames_waiting, self._driver)
        async for batch in batches(session, self.pace, self.alerts, waiting):
            self._settle(batch.events, is_paused=batch.state.standing.paused is not None)
            self.run_state = batch.state
            if self.current_mode not in OF_A_RUN:
                # Once it is known how far the run is: no other screen is made for nothing.
                self.switch_mode(self._first_screen or fitting_screen(batch.state))
            self._note_situation()
            if not self.is_headless and self._driver is not None and self.pace.should_ask():
                self._driver.write(terminal.SYNC_QUERY)
        self.desk.close()
        self.pending = ""
        self._note_situation()
        self.run_is_over()

    def on_terminal_supports_synchronized_output(self) -> None:
        """Note that the terminal has answered: how soon tells how slow the link is."""
        self.pace.answered()

    def watch_run_state(self) -> None:
        """Let the screens follow the stages, unless a person chose one."""
        self._follow_stages()

    def _follow_stages(self) -> None:
        if self.desk.session is None or not self._is_following:
            return
        if self.run_state.attempt and not isinstance(self.screen, ModalScreen):
            self.switch_mode(fitting_screen(self.run_state))

    def _note_situation(self) -> None:
        before, self._situation = self._situation, self.situation
        if before != self._situation:
            self.refresh_bindings()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say so where something can no longer be read; the run itself goes on."""
        if event.state is WorkerState.ERROR:
            what = "run" if event.worker.group == "run" else "app"
            told = f"the {what} can no longer be read: {visible(event.worker.error)}"
            self.notify(told, severity="error", timeout=60, markup=False)

    # Asking things of it --------------------------------------------------------------------------

    @on(messages.Request)
    def _take_request(self, event: messages.Request) -> None:
        self.ask(event.command)

    def ask(self, command: Command) -> None:
        """Send a command to the engine of the run shown; pending until it answers."""
        if self.settings.is_readonly or not self.desk.is_live:
            return
        try:
            self.desk.ask(command)
        except EcoError as error:
            self.tell(error)
        self.pending = self.desk.words
        self._note_situation()

    def _settle(self, events: Sequence[AnyEvent], *, is_paused: bool) -> None:
        for answer in self.desk.settle(events, is_paused=is_paused):
            words = f"{visible(answer.command)}: {visible(answer.why)}"
            told = words if answer.accepted else f"refused: {words}"
            severity = "information" if answer.accepted else "warning"
            self.notify(told, severity=severity, markup=False)  # type: ignore[arg-type]
        self.pending = self.desk.words

    def action_stop(self) -> None:
        """Have a checkpoint saved and the run stopped."""
        from ecotui.commands import StopRun

        self.ask(StopRun(reason=ASKED_HERE))

    def action_stop_after_epoch(self) -> None:
        """Have the run stopped once its epoch is done."""
        from ecotui.commands import StopRun

        self.ask(StopRun(reason=ASKED_HERE, after_epoch=True))

    def action_save_checkpoint(self) -> None:
        """Have a checkpoint saved."""
        from ecotui.commands import SaveCheckpoint

        self.ask(SaveCheckpoint())

    def action_measure_norms(self) -> None:
        """Have each layer's gradient norms written down."""
        from ecotui.commands import MeasureNorms

        self.ask(MeasureNorms())

    def action_pause(self) -> None:
        """Have the run stand still."""
        from ecotui.commands import PauseRun

        self.ask(PauseRun())

    def action_pause_and_free(self) -> None:
        """Have the run stand still, its memory given to others meanwhile."""
        from ecotui.commands import PauseRun

        self.ask(PauseRun(free_memory=True))

    def action_continue(self) -> None:
        """Have the run go on after a pause."""
        from ecotui.commands import ContinueRun

        self.ask(ContinueRun())

    def action_release(self) -> None:
        """Have the run go on without the program that started it."""
        from ecotui.commands import DetachRun

        self.ask(DetachRun())

    def action_set_learning_rate(self) -> None:
        """Ask for another learning rate, and have it set."""
        from ecotui.changing import rate_question

        self.push_screen(rate_question(self.run_state, self.run_dir), self._set_rate)

    def _set_rate(self, written: str | None) -> None:
        from ecotui.commands import SetLearningRate

        if written is not None:
            self.ask(SetLearningRate(learning_rate=float(written)))
        self._after_dialog()

    def action_extend(self) -> None:
        """Ask for another total of epochs, and have it set."""
        from ecotui.changing import epochs_question

        self.push_screen(epochs_question(self.run_state), self._set_epochs)

    def _set_epochs(self, written: str | None) -> None:
        from ecotui.commands import ExtendRun

        if written is not None:
            self.ask(ExtendRun(epochs=int(written)))
        self._after_dialog()

    def action_silence_guard(self) -> None:
        """Ask which guard is to act no more, or again."""
        from ecotui.changing import guard_question

        self.push_screen(guard_question(self.run_state, self.run_dir), self._silence)

    def _silence(self, name: str | None) -> None:
        from ecotui.changing import guard_command

        if name is not None:
            self.ask(guard_command(name, self.run_state, self.run_dir))
        self._after_dialog()

    # Going about ----------------------------------------------------------------------------------

    def action_show_screen(self, name: str) -> None:
        """Go to a screen and stay there."""
        self._is_following = False
        self.switch_mode(name)

    def leave_run(self) -> EngineSession | None:
        """Show no run any more, and return the session of the one that was shown."""
        self.workers.cancel_group(self, "run")
        session = self.desk.session
        self.desk.clear()
        self.alerts.clear()
        self.run_state, self.pending = cast("RunState", NO_RUN), ""
        self._note_situation()
        return session

    def run_is_over(self) -> None:
        """The last event of the run was read; whoever waited for that does what is due."""

    def _after_dialog(self, _: object = None) -> None:
        self.call_after_refresh(self._follow_stages)


def _is_resumable(state: RunState) -> bool:
    from ecotui.events import RunFinished

    is_done = isinstance(state.ending, RunFinished) or getattr(state.ending, "discard", False)
    return state.ending is not None and not is_done

"""What the keys ask for, how the screens follow each other, and how the app is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.actions.everywhere import EVERYWHERE
from ecotui.asking import CONTINUING, PAUSING, RESUMING, SAVING, STOPPING
from ecotui.commands import ContinueRun, PauseRun, SaveCheckpoint, StopRun
from ecotui.config_file import LoadedConfig
from ecotui.errors import ExitCode
from ecotui.events import (
    CommandAnswered,
    RunContinued,
    RunPaused,
    SavingFailed,
    SavingRestored,
)
from ecotui.screens.dialogs.keys import HelpScreen
from ecotui.screens.dialogs.leave import LeaveScreen
from ecotui.screens.fitting import ScreenName, fitting_screen
from ecotui.screens.home import HomeScreen
from ecotui.state import RunState, fold
from tests.screens.stories import play

Open = Callable[..., Any]


# Following ---------------------------------------------------------------------------------------


def test_the_screens_follow_the_stages(open_app: Open) -> None:
    async def story(here: Any) -> None:
        for kind, screen in (
            ("setup_advanced", "diagnostic"),
            ("check_reported", "preflight"),
            ("epoch_started", "training"),
            ("run_finished", "training"),
        ):
            here.engine.go_on_to(kind)
            await here.settle()
            assert here.app.current_mode == screen

    play(story, open_app("full_run"))


@pytest.mark.parametrize(
    ("recording", "screen"),
    [
        ("sick_environment", "diagnostic"),
        ("preflight_failed", "preflight"),
        ("guard_stopped", "training"),
        ("stopped", "training"),
    ],
)
def test_a_failed_run_stays_on_the_screen_that_it_failed_on(
    recording: str, screen: ScreenName, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        assert here.app.current_mode == screen

    play(story, open_app(recording))


def test_who_chose_a_screen_stays_there(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("epoch_started")
        await here.settle()
        await here.press("1")
        here.engine.go_on()
        await here.settle()
        assert here.app.current_mode == "diagnostic"
        await here.press("2")
        assert here.app.current_mode == "preflight"
        await here.press("3")
        assert here.app.current_mode == "training"

    play(story, open_app("full_run"))


def test_a_screen_out_of_sight_catches_up(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("3", "1")
        here.engine.go_on()
        await here.settle()
        await here.press("3")
        await here.settle()
        assert "training completed: all 3 epochs" in here.text()

    play(story, open_app("full_run"))


def test_the_choice_of_screen_is_a_function_of_the_state(events_of: Callable[..., Any]) -> None:
    state, seen = RunState(), list[ScreenName]()
    for event in events_of("full_run"):
        state = fold(state, event)
        if not seen or seen[-1] != fitting_screen(state):
            seen.append(fitting_screen(state))
    assert seen == ["diagnostic", "preflight", "training"]


def test_exactly_one_worker_reads_the_run_whatever_the_screen(open_app: Open) -> None:
    async def story(here: Any) -> None:
        def workers() -> list[Any]:
            return [worker for worker in here.app.workers if worker.group == "run"]

        await here.settle()
        first = workers()
        for key in ("2", "3", "1", "question_mark", "escape", "3"):
            await here.press(key)
        await here.settle()
        assert workers() == first
        assert len(first) == 1
        assert first[0].is_running
        here.engine.go_on()
        await here.settle()
        assert not any(worker.is_running for worker in workers())

    play(story, open_app("full_run"))


def test_the_state_is_assigned_once_a_batch(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        seen: list[RunState] = []

        def note(state: RunState) -> None:
            seen.append(state)

        here.app.watch(here.app, "run_state", note, init=False)
        here.engine.go_on_to("run_finished")
        await here.settle()
        assert len(seen) == 1
        assert seen[0].phase == "finished"

    play(story, open_app("full_run"))


def test_a_run_that_cannot_be_read_any_more_is_told(open_app: Open) -> None:
    async def story(here: Any) -> None:
        def fails() -> list[Any]:
            raise OSError("stale [/handle")

        here.engine.read = fails
        await here.settle()
        assert "[/handle" in here.text()

    play(story, open_app("full_run"))


# Keys --------------------------------------------------------------------------------------------


def test_s_asks_to_stop_once_and_says_so_until_it_ends(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken", 2)
        await here.settle()
        await here.press("s", "s")
        assert [type(asked) for asked in here.engine.asked] == [StopRun]
        assert here.app.pending == STOPPING
        await here.settle()
        assert STOPPING in here.text()
        here.engine.go_on()
        await here.settle()
        assert here.app.pending == ""
        assert "stopped, resumable" in here.text()

    play(story, open_app("stopped"))


def test_c_asks_for_a_checkpoint_and_says_so_until_it_is_there(
    open_app: Open, events_of: Callable[..., Any]
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken", 2)
        await here.settle()
        await here.press("c")
        (asked,) = here.engine.asked
        assert isinstance(asked, SaveCheckpoint)
        assert here.app.pending == SAVING
        answer = CommandAnswered(command_id=asked.id, command=asked.kind, accepted=True, why="")
        here.engine.say(answer)
        await here.settle()
        assert here.app.pending == SAVING
        saved = next(each for each in events_of("stopped") if each.kind == "checkpoint_saved")
        here.engine.say(saved.model_copy(update={"reason": "request"}))
        await here.settle()
        assert here.app.pending == ""

    play(story, open_app("stopped"))


def test_p_pauses_and_goes_on_and_the_status_says_so(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken", 2)
        await here.settle()
        await here.press("p", "p")
        assert [type(asked) for asked in here.engine.asked] == [PauseRun]
        assert here.app.pending == PAUSING
        here.engine.say(RunPaused(step=9, why="asked to"))
        await here.settle()
        assert here.app.pending == ""
        assert "‖ paused" in here.text()
        await here.press("p")
        assert [type(asked) for asked in here.engine.asked] == [PauseRun, ContinueRun]
        assert here.app.pending == CONTINUING
        here.engine.say(RunContinued(step=9, seconds=2.0))
        await here.settle()
        assert here.app.pending == ""
        assert "▶ running" in here.text()

    play(story, open_app("stopped"))


def test_that_nothing_is_saved_stands_in_the_first_line_until_it_is(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken", 2)
        await here.settle()
        here.engine.say(
            SavingFailed(
                step=9,
                what="No space [/ left",
                remedy="free some",
                last_checkpoint=None,
                waits=True,
            )
        )
        await here.settle()
        assert "✗ NOT SAVING" in here.text().splitlines()[0]
        here.engine.say(SavingRestored(step=9))
        await here.settle()
        assert "NOT SAVING" not in here.text().splitlines()[0]

    play(story, open_app("stopped"))


def test_a_refusal_is_told_with_its_reason(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken", 2)
        await here.settle()
        await here.press("c")
        (asked,) = here.engine.asked
        here.engine.say(
            CommandAnswered(
                command_id=asked.id, command=asked.kind, accepted=False, why="disk [/full"
            )
        )
        await here.settle()
        assert here.app.pending == ""
        assert "[/full" in here.text()

    play(story, open_app("stopped"))


def test_r_goes_on_with_a_stopped_run_in_its_directory(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        await here.press("2", "r")
        await here.settle()
        assert here.launched == [here.engine.run]
        assert here.app.pending == RESUMING
        assert not here.app.session.ended
        here.app.session.go_on_to("setup_advanced")
        await here.settle()
        assert here.app.pending == RESUMING  # still the history of the first attempt
        assert here.app.current_mode == "diagnostic"  # following again

    play(story, open_app("stopped", next_recording="full_run"))


def test_keys_that_make_no_sense_do_nothing(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("r")
        assert here.launched == []
        assert here.app.current_mode == "diagnostic"
        here.engine.go_on()
        await here.settle()
        await here.press("s", "c", "r", "d")
        assert here.engine.asked == []
        assert here.launched == []
        assert here.app.is_running

    play(story, open_app("full_run"))


def test_d_leaves_the_run_to_itself(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken")
        await here.settle()
        await here.press("d")
        assert here.engine.asked == []

    assert play(story, open_app("full_run")) == ExitCode.DONE


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
def test_leaving_a_live_run_asks_first(key: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press(key)
        assert isinstance(here.app.screen, LeaveScreen)
        await here.press(key)
        assert len(here.app.screen_stack) == 2
        await here.press("escape")
        assert here.app.is_running
        assert here.engine.asked == []
        await here.press(key, "enter")  # the safe answer has the focus

    assert play(story, open_app("full_run")) == ExitCode.DONE


def test_a_run_that_ends_while_the_question_is_open_answers_it(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken")
        await here.settle()
        await here.press("q")
        assert isinstance(here.app.screen, LeaveScreen)
        here.engine.go_on()
        await here.settle()
        assert here.engine.asked == []

    assert play(story, open_app("stopped")) == ExitCode.RESUMABLE


def test_leaving_with_stop_waits_for_the_checkpoint(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("steps_taken")
        await here.settle()
        await here.press("q", "tab", "enter")
        assert [type(asked) for asked in here.engine.asked] == [StopRun]
        await here.settle()
        assert here.app.return_value is None
        here.engine.go_on()
        await here.settle()

    assert play(story, open_app("stopped")) == ExitCode.RESUMABLE


@pytest.mark.parametrize(
    ("recording", "code"),
    [("full_run", 0), ("stopped", 75), ("guard_stopped", 4), ("sick_environment", 5)],
)
def test_an_ended_run_is_left_at_once_with_its_exit_code(
    recording: str, code: int, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        await here.press("q")

    assert play(story, open_app(recording)) == code


def test_the_help_lists_every_key(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("question_mark")
        await here.settle()
        assert isinstance(here.app.screen, HelpScreen)
        shown = here.text()
        told = " ".join(shown.replace("│", " ").split())
        for action in EVERYWHERE:
            assert not action.keys or action.help in told
        assert "go on from the newest checkpoint (not now)" in shown
        assert "save a checkpoint and stop (not now)" not in shown
        await here.press("escape")
        assert not isinstance(here.app.screen, HelpScreen)

    play(story, open_app("full_run", size=(120, 90)))


def test_a_dialog_is_not_pulled_away_by_a_stage(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("q")
        here.engine.go_on_to("epoch_started")
        await here.settle()
        assert isinstance(here.app.screen, LeaveScreen)
        await here.press("escape")
        await here.settle()
        assert here.app.current_mode == "training"

    play(story, open_app("full_run"))


def test_every_panel_of_the_training_screen_is_reached_by_tab(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("guard_recovered")
        await here.settle()
        seen = set()
        for _ in range(5):
            await here.press("tab")
            seen.add(type(here.app.focused).__name__)
        assert seen == {"Curves", "GuardStrip", "AlertLog"}

    play(story, open_app("full_run"))


# Home --------------------------------------------------------------------------------------------


def test_home_lists_the_configs_and_enter_starts_one(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)
        for name in ("digits", "smoke", "trashnet", "waste30"):
            assert name in here.text()
        await here.press("enter")
        await here.settle()
        assert len(here.launched) == 1
        assert here.launched[0].config.is_file()
        assert here.app.current_mode == "diagnostic"

    play(story, open_app("full_run", opening=None))


def test_home_tells_what_is_wrong_with_a_config(
    open_app: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.toml").write_text('[data]\nroot = "x"\n[train]\nepochs = -1\n')
    monkeypatch.chdir(tmp_path)

    async def story(here: Any) -> None:
        await here.wait_for("wrong")
        await here.press("down", "down", "down", "down", "enter")
        await here.settle()
        assert here.launched == []
        assert "error:" in here.text()
        assert isinstance(here.app.screen, HomeScreen)

    play(story, open_app("full_run", opening=None))


def test_home_lists_the_runs_and_enter_shows_one(
    open_app: Open, recorded: Callable[..., Any]
) -> None:
    run = recorded("clean_run")

    async def story(here: Any) -> None:
        await here.wait_for(run.run_id)
        await here.wait_for("finished")
        await here.press("tab", "enter")
        here.engine.go_on()
        await here.settle()
        assert here.app.current_mode == "results"
        await here.press("h")
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)
        assert here.app.session is None

    play(story, open_app("clean_run", opening=None))


def test_what_can_not_be_opened_ends_the_app_with_its_reason(
    open_app: Open, loaded: LoadedConfig, tmp_path: Any
) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        assert here.app.failure is not None
        assert "cannot be written" in here.app.failure.what

    (tmp_path / "runs").write_text("a file")
    assert play(story, open_app("full_run", opening=loaded)) == ExitCode.USAGE

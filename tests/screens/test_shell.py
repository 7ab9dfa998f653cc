"""The app's frame: requests by key, palette, help, keys of one's own, looks, read-only, errands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui import clipboard
from ecotui.actions.table import BY_ID
from ecotui.app_settings import AppSettings, remembered_theme
from ecotui.asking import STOPPING
from ecotui.commands import (
    ContinueRun,
    DetachRun,
    ExtendRun,
    MeasureNorms,
    PauseRun,
    SetLearningRate,
    SilenceGuard,
    StopRun,
)
from ecotui.errors import ExitCode
from ecotui.events import CommandAnswered, ConfigChanged, RunPaused
from ecotui.jobs import DiagnoseJob
from ecotui.paths import RunDir
from ecotui.screens import messages
from ecotui.screens.dialogs.choice import ChoiceScreen
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.dialogs.keys import HelpScreen
from ecotui.screens.dialogs.leave import LeaveScreen
from ecotui.screens.dialogs.value import ValueScreen
from ecotui.state import RunState
from ecotui.widgets.brief import brief_lines
from tests.screens.looks import colours_on, text_on
from tests.screens.stories import play

Open = Callable[..., Any]
TRAINING = ("steps_taken", 2)


# Requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        (("S",), StopRun(reason="asked in the app", after_epoch=True)),
        (("P",), PauseRun(free_memory=True)),
        (("l", *["backspace"] * 12, *"3e-4", "enter"), SetLearningRate(learning_rate=3e-4)),
        (("e", *["backspace"] * 6, *"30", "enter"), ExtendRun(epochs=30)),
        (("m", *"early_stop", "enter"), SilenceGuard(guard="early_stopping")),
    ],
)
def test_a_key_asks_and_the_request_is_pending(
    keys: tuple[str, ...], asked: Any, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press(*keys)
        await here.settle()
        (command,) = here.engine.asked
        assert command.model_dump(exclude={"id"}) == asked.model_dump(exclude={"id"})
        assert here.app.pending
        assert here.app.pending in here.text()

    play(story, open_app("full_run", size=(120, 40)))


@pytest.mark.parametrize("key", ["l", "e", "m"])
def test_a_question_left_with_escape_asks_nothing(key: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press(key)
        assert isinstance(here.app.screen, ValueScreen | ChoiceScreen)
        await here.press("escape")
        assert here.engine.asked == []
        assert here.app.pending == ""

    play(story, open_app("full_run"))


def test_what_is_accepted_is_told_and_no_longer_pending(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        here.app.ask(ExtendRun(epochs=9))
        (command,) = here.engine.asked
        here.engine.say(
            CommandAnswered(
                command_id=command.id, command=command.kind, accepted=True, why="9 epochs [/now"
            )
        )
        await here.settle()
        assert here.app.pending == ""
        assert "9 epochs [/now" in here.text()

    play(story, open_app("full_run"))


def test_a_silenced_guard_is_woken_by_the_same_key(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        changed = ConfigChanged(
            key="guards.silenced", old="[]", new='["early_stopping"]', step=1, why="asked"
        )
        here.engine.say(changed)
        await here.settle()
        await here.press("m", *"early_stop")
        assert "early_stopping  silenced" in here.text()
        await here.press("enter")
        (command,) = here.engine.asked
        assert (command.guard, command.silent) == ("early_stopping", False)

    play(story, open_app("full_run"))


def test_a_screen_asks_with_a_message(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        here.app.screen.post_message(messages.Request(DetachRun()))
        await here.pilot.pause()
        assert [type(asked) for asked in here.engine.asked] == [DetachRun]

    play(story, open_app("full_run"))


def test_stop_after_the_epoch_can_still_become_stop_now(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press("S", "S", "s")
        assert [asked.after_epoch for asked in here.engine.asked] == [True, False]
        assert here.app.pending == STOPPING

    play(story, open_app("full_run"))


# Keys, palette, help -----------------------------------------------------------------------------


@pytest.mark.parametrize("opens", ["colon", "ctrl+p"])
def test_the_palette_finds_what_is_possible_and_does_it(opens: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press(opens)
        await here.press(*"stop after")
        await here.settle()
        assert "stop once this epoch is done" in here.text()
        await here.press("down", "enter")
        await here.settle()
        assert [asked.after_epoch for asked in here.engine.asked] == [True]

    play(story, open_app("full_run"))


def test_what_has_no_key_is_asked_for_in_the_palette(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        for sought in ("gradient norms", "program that started it"):
            await here.press("colon")
            await here.press(*sought)
            await here.settle()
            await here.press("down", "enter")
            await here.settle()
        assert [type(asked) for asked in here.engine.asked] == [MeasureNorms, DetachRun]

    play(story, open_app("full_run"))


def test_the_palette_lists_every_action_that_is_possible(open_app: Open) -> None:
    from ecotui.actions.everywhere import EVERYWHERE
    from ecotui.palette import ActionProvider

    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        provider = ActionProvider(here.app.screen)
        found = {hit.text async for hit in provider.discover()}
        possible = [each for each in EVERYWHERE if each.is_possible(here.app.situation)]
        assert {f"{each.word}: {each.help}" for each in possible} <= found
        assert "Resume: go on from the newest checkpoint" not in found

    play(story, open_app("full_run"))


def test_keys_of_ones_own_take_the_place_of_the_usual_ones(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press("s")
        assert here.engine.asked == []
        assert "x Stop" in here.text()
        await here.press("x")
        assert [type(asked) for asked in here.engine.asked] == [StopRun]
        assert here.app.keys_of(BY_ID["run.stop"]) == "x"

    play(story, open_app("full_run", settings=AppSettings(keys={"run.stop": "x"})))


def test_the_help_is_made_from_the_keys_as_they_are(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press("question_mark")
        assert isinstance(here.app.screen, HelpScreen)
        line = next(each for each in here.text().splitlines() if "save a checkpoint and" in each)
        assert "x  save a checkpoint and stop" in line

    settings = AppSettings(keys={"run.stop": "x"})
    play(story, open_app("full_run", size=(100, 60), settings=settings))


def test_f1_says_what_the_panel_in_focus_is_about(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        here.app.focused.HELP = "All about [/ this panel."
        title = here.app.focused.border_title
        await here.press("f1")
        assert "All about [/ this panel." in here.text()
        assert str(title) in here.text()

    play(story, open_app("full_run"))


def test_zoom_gives_a_panel_the_screen_and_takes_it_back(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press("tab", "z")
        assert here.app.screen.maximized is not None
        await here.press("z")
        assert here.app.screen.maximized is None

    play(story, open_app("full_run"))


# Looks -------------------------------------------------------------------------------------------


def test_a_theme_chosen_is_put_on_and_remembered(
    open_app: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecotui.app_settings.theme_file", lambda: tmp_path / "state" / "theme")

    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        before = colours_on(here.app)
        await here.press("T", *"contr", "enter")
        await here.settle()
        assert here.app.theme == "contrast"
        assert colours_on(here.app) != before
        await here.press("T", *"mono", "enter")
        await here.settle()
        assert colours_on(here.app) == set()
        assert here.app.look.colours == "none"
        assert remembered_theme() == "mono"

    play(story, open_app("full_run"))


@pytest.mark.parametrize("value", ["", "1"])
def test_textual_itself_puts_no_greys_over_what_the_theme_says(
    value: str, open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", value)

    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        assert len(colours_on(here.app)) > 3
        assert not here.app.no_color

    play(story, open_app("full_run"))


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
def test_sixteen_colours_are_the_terminals_own(theme: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("guard_recovered")
        await here.settle()
        assert not [name for name in colours_on(here.app) if name.startswith("#")]
        assert here.app.look.colours == "sixteen"

    play(story, open_app("full_run", settings=AppSettings(theme=theme)))


def test_slow_means_that_nothing_moves(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        assert here.app.pace.interval_seconds == 1.0
        assert not here.app.look.is_animated

    settings = AppSettings(is_slow=True, frames_per_second=1.0)
    play(story, open_app("full_run", settings=settings))


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (20, 4), (1, 1)])
def test_where_there_is_no_room_only_the_state_is_shown_and_keys_work(
    size: tuple[int, int], open_app: Open
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("guard_recovered")
        await here.settle()
        if size[0] >= 20:
            assert "▶ running" in here.text()
            assert "epoch 2/3" in here.text()
        assert "Loss" not in here.text()
        await here.press("c")
        assert len(here.engine.asked) == 1
        for key in ("1", "2", "question_mark", "escape", "q", "escape"):
            await here.press(key)
        assert here.app.is_running
        await here.pilot.resize_terminal(80, 24)
        await here.press("3")
        await here.settle()
        assert "Loss" in here.text()

    play(story, open_app("full_run", size=size))


def test_the_home_says_what_it_needs_where_there_is_no_room(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        assert "needs 60 columns and 16 rows" in here.text()

    play(story, open_app("full_run", opening=None, size=(50, 10)))


def test_the_brief_view_holds_foreign_text_harmless() -> None:
    told = brief_lines(RunState(attempt=1, run_id="\x1b[31m[/"), "\x1bpending", "h")
    assert not [line for line in told if "\x1b" in line.plain]


# Read only, several apps, leaving ----------------------------------------------------------------


def test_read_only_asks_nothing_and_says_so(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        assert "read only" in here.text().splitlines()[0]
        assert "s Stop" not in here.text()
        await here.press("s", "S", "p", "c", "l", "e", "m", "r")
        here.app.ask(StopRun())
        here.app.screen.post_message(messages.Request(ContinueRun()))
        here.app.screen.post_message(messages.ConfigChoice("digits"))
        here.app.screen.post_message(messages.Deletion((here.engine.run,)))
        here.app.screen.post_message(messages.Errand(DiagnoseJob(runs_path="/")))
        await here.settle()
        assert here.engine.asked == []
        assert here.launched == []
        assert here.errands == []
        await here.press("q")
        assert isinstance(here.app.screen, LeaveScreen)
        assert "Stop it" not in here.text()
        await here.press("enter")

    settings = AppSettings(is_readonly=True)
    assert play(story, open_app("full_run", settings=settings)) == ExitCode.DONE


def test_two_apps_watch_one_run(open_app: Open) -> None:
    async def story(here: Any) -> None:
        async def other(there: Any) -> None:
            for each in (here, there):
                each.engine.go_on_to(*TRAINING)
            await here.settle()
            await there.settle()
            assert here.app.run_state.step == there.app.run_state.step > 0
            await there.press("c")
            assert len(there.engine.asked) == 1

        async with open_app("full_run") as there:
            await other(there)

    play(story, open_app("full_run"))


def test_home_leaves_a_live_run_to_itself(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        await here.press("h")
        await here.settle()
        assert here.app.current_mode == "home"
        assert here.app.session is None
        assert here.app.run_state.attempt == 0
        assert here.app.run_state.standing == RunState().standing
        assert not [w for w in here.app.workers if w.group == "run" and w.is_running]
        assert here.engine.asked == []
        await here.press("q")

    assert play(story, open_app("full_run")) == ExitCode.DONE


# Copying, errands, deleting, resuming ------------------------------------------------------------


def test_y_copies_the_panel_in_focus_and_says_where_to(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def copy(text: str, **how: Any) -> clipboard.Copied:
        seen.append(text)
        return clipboard.Copied("file", "/somewhere/[/copy.txt")

    monkeypatch.setattr(clipboard, "copy", copy)

    async def story(here: Any) -> None:
        here.engine.go_on_to("guard_recovered")
        await here.settle()
        await here.press("3", "tab")
        while type(here.app.focused).__name__ != "AlertLog":
            await here.press("tab")
        await here.press("y")
        await here.settle()
        assert "Newest alerts copied to" in here.text()
        assert "[/copy.txt" in here.text()
        assert "over      6 gradients the gradients are finite" in seen[0]

    play(story, open_app("full_run", size=(120, 40)))


def test_an_errand_is_done_beside_the_run_and_its_progress_shown(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        await here.settle()
        step = here.app.run_state.step
        here.app.screen.post_message(messages.Errand(DiagnoseJob(runs_path="/")))
        await here.settle()
        assert len(here.errands) == 1
        assert here.errands[0].job.is_file()
        assert here.app.errand.is_over
        assert here.app.errand.state.checks
        assert here.app.run_state.step == step
        assert len([w for w in here.app.workers if w.group == "run"]) == 1
        here.app.screen.post_message(messages.Errand(DiagnoseJob(runs_path="/")))
        await here.settle()
        assert not here.errands[0].path.exists()
        here.errands_left = here.errands[1].path

    opened = open_app("full_run")
    play(story, opened)


def test_an_errand_that_can_not_begin_says_why(open_app: Open, tmp_path: Path) -> None:
    from ecotui.jobs import DescribeJob

    (tmp_path / "runs").write_text("a file")

    async def story(here: Any) -> None:
        await here.settle()
        here.app.screen.post_message(messages.Errand(DescribeJob(data_root="/x")))
        await here.settle()
        assert here.app.errand.is_over
        assert "cannot be written" in here.app.errand.fault

    play(story, open_app("full_run"))


def test_deleting_asks_first_and_no_is_the_answer_of_enter(
    open_app: Open, recorded: Callable[[str], RunDir]
) -> None:
    run = recorded("clean_run")

    async def story(here: Any) -> None:
        await here.settle()
        for keys, is_there in ((("enter",), True), (("y",), False)):
            here.app.screen.post_message(messages.Deletion((run,)))
            await here.pilot.pause()
            assert isinstance(here.app.screen, ConfirmScreen)
            await here.press(*keys)
            await here.settle()
            assert run.path.exists() is is_there

    play(story, open_app("clean_run", opening=None))


def test_a_run_goes_on_with_a_setting_changed(
    open_app: Open, recorded: Callable[[str], RunDir]
) -> None:
    run = recorded("stopped")
    run.config.write_text('[data]\nroot = "/photos"\n')

    async def story(here: Any) -> None:
        await here.settle()
        here.app.screen.post_message(messages.Resumption(run, ("train.epochs=7",)))
        await here.settle()
        assert [each.run_id for each in here.launched] == [run.run_id]
        assert here.settings == [("train.epochs=7",)]

    play(story, open_app("stopped", opening=None))


def test_every_alert_is_kept_as_a_line_however_many_there_are(
    open_app: Open, events_of: Callable[[str], list[Any]]
) -> None:
    events = events_of("full_run")
    alert = next(event for event in events if event.kind == "guard_tripped")

    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        here.engine.say(*(alert.model_copy(update={"step": n}) for n in range(1_000)))
        await here.settle()
        assert len(here.app.alerts) >= 1_000
        assert len(here.app.run_state.alerts) == 200
        assert '"step":999' in here.app.alerts.line(len(here.app.alerts) - 1)

    play(story, open_app("full_run"))


def test_the_pause_key_goes_on_where_the_run_stands_still(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to(*TRAINING)
        here.engine.say(RunPaused(step=9, why="asked to"))
        await here.settle()
        assert "p Continue" in here.text()
        await here.press("p")
        assert [type(asked) for asked in here.engine.asked] == [ContinueRun]

    play(story, open_app("full_run"))


def test_screens_are_made_when_they_are_first_seen(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        assert "Loss" not in text_on(here.app)
        made = {type(each).__name__ for stack in here.app._screen_stacks.values() for each in stack}
        assert "DiagnosticScreen" in made
        assert "TrainingScreen" not in made
        await here.press("3")
        assert type(here.app.screen).__name__ == "TrainingScreen"

    play(story, open_app("full_run"))


def test_a_hidden_place_is_filled_when_it_is_seen() -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    from ecotui.widgets.later import Later

    calls: list[str] = []

    class Tabs(App[None]):
        def compose(self) -> ComposeResult:
            later = Later(self.make, lambda: calls.append("shown"))
            later.display = False
            yield later

        def make(self) -> list[Any]:
            calls.append("made")
            return [Static("inside", markup=False)]

    async def tell() -> None:
        app = Tabs()
        async with app.run_test() as pilot:
            await pilot.pause()
            assert calls == []
            app.query_one(Later).display = True
            await pilot.pause(0.1)
            assert calls == ["made", "shown"]
            assert "inside" in text_on(app)
            app.query_one(Later).display = False
            await pilot.pause()
            app.query_one(Later).display = True
            await pilot.pause(0.1)
            assert calls == ["made", "shown"]

    asyncio.run(tell())

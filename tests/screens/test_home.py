"""The home: what there is, what each key asks for, and what reaches the app."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from ecotui import lock
from ecotui.app_settings import AppSettings
from ecotui.jobs import DescribeJob
from ecotui.paced_replay import PacedReplay
from ecotui.paths import RunDir
from ecotui.runs_table import Rows, RunRow
from ecotui.screens.config import ConfigScreen
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.home import HomeScreen
from ecotui.screens.home_runs import RunTable, age_words, short_name, widths_for
from ecotui.screens.home_start import StartScreen
from ecotui.stream import decode
from tests.screens.looks import LOOKS, assert_text, colours_on, shots
from tests.screens.stories import play

Open = Callable[..., Any]
Recorded = Callable[[str], RunDir]


@pytest.fixture
def runs(recorded: Recorded) -> list[RunDir]:
    """Return four runs, the newest first, as names that ecotui gives."""
    made = []
    for age, name in enumerate(("full_run", "stopped", "failed", "clean_run")):
        run = recorded(name)
        path = run.path.with_name(f"{name.replace('_', '-')}-20261123-14150{age}-3f9{age}")
        run.path.rename(path)
        moved = RunDir(path)
        moved.config.write_text('[data]\nroot = "/photos/waste"\n')
        os.utime(moved.config, (1_000_000 - age, 1_000_000 - age))
        made.append(moved)
    return made


async def on_the_runs(here: Any, *keys: str) -> None:
    await here.wait_for("finished")
    await here.press("tab", *keys)
    await here.settle()


@pytest.mark.parametrize("look", LOOKS)
def test_home_looks_like_its_texts(
    look: str, open_app: Open, runs: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecotui.screens.home_runs.time.time", lambda: 1_000_000.0 + 3_700)

    async def story(here: Any) -> None:
        await on_the_runs(here, "space")
        for size, shown in (await shots(here)).items():
            assert_text(shown, f"home_{size}{'_ascii' if look == 'ascii' else ''}")
            assert look != "ascii" or shown.isascii()
        assert (len(colours_on(here.app)) > 3) == (look == "colour")

    play(story, open_app("clean_run", opening=None, settings=LOOKS[look]))


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (120, 40), (200, 50)])
def test_no_column_is_cut_once_the_rows_are_there(
    size: tuple[int, int], open_app: Open, runs: list[RunDir]
) -> None:
    async def story(here: Any) -> None:
        await here.wait_for("finished")
        lines = here.text().splitlines()
        heads = next(line for line in lines if "state" in line and "age" in line)
        for word in ("run", "state", "model", "data", "best", "age"):
            assert word in heads
        row = next(line for line in lines if "3f90" in line)
        assert "✓ finished" in row
        assert "72.50%" in row
        assert len(row.rstrip()) <= size[0]

    play(story, open_app("clean_run", opening=None, size=size))


def test_without_any_run_the_demo_is_offered_and_enter_trains_it(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.wait_for("Nothing has been trained here yet")
        assert "Enter trains the demo" in here.text()
        await here.press("enter")
        await here.settle()
        assert len(here.launched) == 1
        assert here.launched[0].run_id.startswith("digits-")
        assert "demo:digits" in here.launched[0].config.read_text()

    play(story, open_app("full_run", opening=None))


def test_the_cursor_sits_on_the_run_under_way_and_enter_shows_it(
    open_app: Open, runs: list[RunDir]
) -> None:
    living = runs[2]
    lines = [line for line in living.events.read_bytes().splitlines() if b"run_failed" not in line]
    living.events.write_bytes(b"\n".join(lines) + b"\n")
    code = (
        "import sys; from pathlib import Path; from ecotui import lock;"
        "held = lock.acquire(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )

    async def story(here: Any) -> None:
        holder = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(living.lock)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        try:
            await here.wait_for("1 run under way")
            table = here.app.screen.query_one(RunTable)
            assert table.has_focus
            assert table.row_under_cursor.path.endswith(living.run_id)
            await here.press("enter")
            await here.settle()
            assert here.app.session is here.engine
        finally:
            holder.terminate()
            await holder.wait()

    assert not lock.is_held(living.lock)
    play(story, open_app("full_run", opening=None))


def test_a_cursor_that_a_person_has_moved_is_left_where_it_is(
    open_app: Open, runs: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "is_held", lambda path: path.parent.name == runs[2].run_id)
    has_moved, real = threading.Event(), HomeScreen._scan

    def scan(self: HomeScreen) -> Any:
        assert has_moved.wait(60.0)
        return real(self)

    monkeypatch.setattr(HomeScreen, "_scan", scan)

    async def story(here: Any) -> None:
        await here.press("down")
        has_moved.set()
        await here.wait_for("1 run under way")
        assert here.app.focused.id == "configs"

    play(story, open_app("full_run", opening=None))


def test_enter_on_an_ended_run_shows_what_it_reached(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "enter")
        here.engine.go_on()
        await here.settle()
        assert here.app.current_mode == "results"
        await here.press("3")
        assert here.app.current_mode == "training"

    play(story, open_app("full_run", opening=None))


def test_r_goes_on_with_the_run_under_the_cursor(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "down", "r")
        await here.settle()
        assert [run.run_id for run in here.launched] == [runs[1].run_id]

    runs[1].config.write_text('[data]\nroot = "/photos"\n[train]\nepochs = 3\n')
    os.utime(runs[1].config, (999_999, 999_999))
    play(story, open_app("full_run", opening=None))


@pytest.fixture
def _slow_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a replay not reach its end by itself, however busy the machine is."""

    def slow() -> float:
        return time.monotonic() / 100

    monkeypatch.setattr(PacedReplay.__init__, "__defaults__", (slow,))


@pytest.mark.usefixtures("_slow_replay")
def test_p_plays_the_log_again_and_keeps_the_run(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "p")
        await here.wait_for("replay 10x")
        assert here.app.situation.is_replay
        assert not here.app.situation.is_live
        await here.press("s", "c", "greater_than_sign")
        await here.wait_for("replay 25x")
        await here.press("space")
        await here.wait_for("replay paused")
        await here.press("E")
        await here.wait_for("finished")
        assert here.app.current_mode == "training"
        await here.press("h")
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)
        assert runs[0].path.is_dir()
        assert here.launched == []

    play(story, open_app("full_run", opening=None))


@pytest.mark.usefixtures("_slow_replay")
def test_a_replay_goes_event_by_event_alert_by_alert_and_slower(
    open_app: Open, runs: list[RunDir]
) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "p")
        await here.wait_for("replay 10x")
        await here.press("space")
        await here.wait_for("replay paused")
        for number in (1, 2):
            seen = here.app.run_state

            def has_gone_on(before: Any = seen) -> bool:
                return bool(here.app.run_state != before)

            await here.press("full_stop")
            await wait_until(here, has_gone_on)
            assert here.app.desk.replay.is_paused, number
        await here.press("exclamation_mark")
        await wait_until(here, lambda: here.app.run_state.num_alerts == 1)
        await here.wait_for("replay paused")
        await here.press("exclamation_mark")
        await wait_until(here, lambda: here.app.run_state.num_alerts == 2)
        await here.wait_for("replay paused")
        await here.press("less_than_sign")
        await here.wait_for("replay 5x")

    play(story, open_app("full_run", opening=None))


@pytest.mark.usefixtures("_slow_replay")
def test_a_replay_is_left_without_a_question(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "p")
        await here.wait_for("replay 10x")
        await here.press("q")
        assert here.app.return_value == 0

    play(story, open_app("full_run", opening=None))


@pytest.mark.parametrize(
    ("keys", "gone"), [(("d",), {0}), (("space", "space", "d"), {0, 1}), (("down", "delete"), {1})]
)
def test_d_asks_and_removes_what_is_marked_or_under_the_cursor(
    keys: tuple[str, ...], gone: set[int], open_app: Open, runs: list[RunDir]
) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, *keys)
        assert isinstance(here.app.screen, ConfirmScreen)
        await here.press("enter")  # No has the focus
        assert all(run.path.is_dir() for run in runs)
        await here.settle()
        await here.press(keys[-1], "y")
        await wait_until(here, lambda: not any(runs[place].path.exists() for place in gone))
        assert {place for place, run in enumerate(runs) if not run.path.exists()} == gone

    play(story, open_app("full_run", opening=None))


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
def test_a_toast_leaves_a_dialog_readable(
    size: tuple[int, int], open_app: Open, runs: list[RunDir]
) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "d")
        before = [line.strip(" │") for line in here.text().splitlines() if "│" in line]
        assert "No (n)" in " ".join(before)
        for number in range(3):
            here.app.notify(f"told {number}\nwith more", timeout=60, markup=False)
        await here.wait_for("told 2")
        screen = here.app.screen
        box = screen.query_one(".box").region
        assert all(not toast.region.overlaps(box) for toast in screen.query("Toast"))
        if size[1] > 16:  # On a smaller one the box is scrolled.
            assert all(line in here.text() for line in before)
        assert "Delete 1 run (y)" in here.text()

    play(story, open_app("full_run", opening=None, size=size))


@pytest.mark.parametrize("key", ["3", "4"])
def test_screens_of_a_run_are_not_shown_where_no_run_is(key: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press(key)
        await here.settle()
        assert here.app.current_mode == "home"

    play(story, open_app("full_run", opening=None))


def test_a_config_without_photos_asks_for_them_and_shows_its_settings_with_them(
    open_app: Open, tmp_path: Path
) -> None:
    photos = tmp_path / "my photos"
    (photos / "one class").mkdir(parents=True)

    async def story(here: Any) -> None:
        await here.wait_for("trashnet")
        table = here.app.screen.query_one("#configs")
        table.focus()
        names = [table.get_row_at(row)[0].plain for row in range(table.row_count)]
        table.move_cursor(row=names.index("trashnet"))
        await here.press("enter")
        await here.settle()
        assert here.launched == []
        here.app.screen.query_one(Input).value = f"{photos}/"
        await here.settle()
        await here.press("enter")
        await here.settle()
        assert isinstance(here.app.screen, ConfigScreen)
        assert f'"{photos}"'[:20] in here.text()

    play(story, open_app("full_run", opening=None))


@pytest.mark.parametrize(
    ("keys", "names"), [(("space", "down", "space", "c"), (0, 2)), (("c",), (0, 1))]
)
def test_c_compares_the_marked_runs_or_the_two_newest(
    keys: tuple[str, ...], names: tuple[int, int], open_app: Open, runs: list[RunDir]
) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, *keys)
        await here.wait_for("2 runs")
        assert here.app.current_mode == "compare"
        assert [run.run_id for run in here.app.visited] == [runs[name].run_id for name in names]
        await here.press("escape")
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)
        assert here.app.screen.query_one(RunTable).marked == set()

    play(story, open_app("full_run", opening=None))


@pytest.mark.parametrize("key", ["space", "r", "p", "d"])
def test_a_key_about_a_run_says_where_the_runs_are(
    key: str, open_app: Open, runs: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def story(here: Any) -> None:
        await here.wait_for("finished")
        monkeypatch.setattr(here.app, "notify", lambda words, **_: told.append(words))
        await here.press(key)
        await wait_until(here, lambda: bool(told))
        assert told == ["no run is under the cursor: Tab goes to the runs"]
        assert here.launched == []

    play(story, open_app("full_run", opening=None))


def test_read_only_neither_begins_nor_removes_anything(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here, "n", "e", "r", "d")
        assert isinstance(here.app.screen, HomeScreen)
        await here.press("shift+tab", "enter")
        await here.settle()
        assert here.launched == []

    settings = AppSettings(is_readonly=True)
    play(story, open_app("full_run", opening=None, settings=settings))


def test_configs_of_ones_own_are_listed_after_the_shipped_ones(
    open_app: Open, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('[data]\nroot = "demo:digits"\n[model]\nname = "x"\n')

    async def story(here: Any) -> None:
        await here.wait_for("yours: x on demo:digits")
        await here.press("down", "down", "down", "down", "enter")
        await here.settle()
        assert here.launched[0].run_id.startswith("mine-")

    play(story, open_app("full_run", opening=None))


# A folder of photos ------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, count in (("glass", 30), ("metal", 12)):
        (tmp_path / "waste" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "waste" / name / f"{number}.jpg").write_bytes(b"")
    return tmp_path / "waste"


def described(name: str) -> bytes:
    event = {
        "kind": "dataset_described",
        "seq": 1,
        "at": 1.0,
        "since_start": 0.1,
        "layout": "classes",
        "class_names": ["glass", name],
        "num_classes": 2,
        "num_train": 34,
        "num_val": 8,
        "num_test": 0,
        "smallest_class": 12,
        "largest_class": 30,
        "median_width": 100,
        "median_height": 100,
        "class_counts": [30, 12],
    }
    return json.dumps(event).encode()


async def wait_until(here: Any, is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        await here.pilot.pause(0.005)
        if is_so():
            return
    raise AssertionError(here.text())


def test_n_enter_enter_trains_on_a_folder_with_settings_that_suit_it(
    open_app: Open, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = decode(described("[/metal"))
    assert said is not None

    async def story(here: Any) -> None:
        monkeypatch.chdir(photos)
        await here.settle()
        await here.press("n")
        await here.wait_for("✓ 2 folders with 42 photos: glass 30, metal 12")
        await here.press("enter")
        await wait_until(here, lambda: isinstance(here.app.screen, StartScreen))
        await wait_until(here, lambda: here.app.errand is not None)
        assert here.app.errand.job == DescribeJob(data_root=str(photos))
        await wait_until(here, lambda: here.app.errand.is_over)
        assert here.launched == []

    async def shown(here: Any) -> None:
        await story(here)
        screen = here.app.screen
        screen._show(said)
        await here.settle()
        assert "[/metal" in here.text()
        assert "34 to train on, 8 to validate" in here.text()
        await here.press("enter")
        await here.settle()
        (run,) = here.launched
        assert run.run_id.startswith("waste-")
        written = run.config.read_text()
        assert f'root = "{photos}"' in written
        assert "batch_size = 8" in written

    play(shown, open_app("full_run", opening=None))


def test_a_start_that_fails_keeps_what_was_typed_and_says_why(
    open_app: Open, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = decode(described("metal"))
    assert said is not None

    async def look_at_the_folder(here: Any) -> None:
        await here.press("n", "enter")
        await wait_until(here, lambda: isinstance(here.app.screen, StartScreen))
        here.app.screen._show(said)
        await here.settle()

    async def story(here: Any) -> None:
        monkeypatch.chdir(photos)
        await here.settle()
        await look_at_the_folder(here)
        assert "kept" not in here.text()
        await here.press("e")
        await wait_until(here, lambda: isinstance(here.app.screen, ConfigScreen))
        editor = here.app.screen
        editor._change(editor._draft.edited("train.epochs", "[/7").edited("train.epochs", "7"))
        await here.press("s")
        here.engine.go_on()
        await wait_until(here, lambda: here.app.run_state.ending is not None)
        fault = here.app.run_state.ending.what
        await here.wait_for("your settings are kept: h goes home")
        await here.press("h")
        await here.wait_for("waste could not be trained")
        monkeypatch.chdir(photos.parent)  # the folder that failed is offered, wherever one is
        await look_at_the_folder(here)
        shown = " ".join(here.text().split())
        assert f"✗ the last start failed: {fault[:40]}" in shown
        assert "train.epochs = 7" in shown
        await here.press("enter")
        await wait_until(here, lambda: len(here.launched) == 2)
        assert "epochs = 7" in here.launched[1].config.read_text()

    play(story, open_app("preflight_failed", opening=None))


def test_a_start_that_comes_to_something_is_not_kept(
    open_app: Open, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = decode(described("metal"))

    async def story(here: Any) -> None:
        monkeypatch.chdir(photos)
        await here.settle()
        await here.press("n", "enter")
        await wait_until(here, lambda: isinstance(here.app.screen, StartScreen))
        here.app.screen._show(said)
        await here.press("enter")
        assert here.app.kept_starts.of(photos) is not None
        here.engine.go_on()
        await here.settle()
        assert here.app.kept_starts.of(photos) is None

    play(story, open_app("full_run", opening=None))


def test_a_folder_is_walked_into_with_tab_and_out_with_shift_tab(
    open_app: Open, photos: Path
) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("n")
        await here.wait_for("waste/")
        line = here.app.screen.query_one(Input)
        start = line.value
        await here.press("tab")
        assert line.value == f"{start}waste/"
        await here.wait_for("42 photos")
        await here.press("shift+tab")
        assert line.value == start
        await here.press(*"nowhere", "enter")
        await here.settle()
        assert "✗ there is no such folder" in here.text()
        assert len(here.app.screen_stack) == 2
        await here.press("x")
        await here.wait_for("no such folder yet: go on typing")
        await here.press("escape")
        assert len(here.app.screen_stack) == 1

    play(story, open_app("full_run", opening=None))


def test_a_folder_that_is_no_data_set_says_what_the_engine_said(
    open_app: Open, photos: Path
) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("n", "enter")  # the stand-in of the engine fails
        await wait_until(here, lambda: here.app.errand is not None and here.app.errand.is_over)
        await here.wait_for("to fix:")
        await here.press("enter")
        assert here.launched == []
        await here.press("escape")
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)

    play(story, open_app("full_run", opening=None))


def test_e_changes_the_settings_of_the_config_under_the_cursor(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        await here.press("e")
        await here.settle()
        assert isinstance(here.app.screen, ConfigScreen)
        assert "digits" in here.text()

    play(story, open_app("full_run", opening=None))


def test_d_that_deletes_is_named_at_home(open_app: Open, runs: list[RunDir]) -> None:
    async def story(here: Any) -> None:
        await on_the_runs(here)
        assert "d Delete" in here.text().splitlines()[-1]

    play(story, open_app("full_run", opening=None))


# What is computed --------------------------------------------------------------------------------


def test_a_run_whose_log_has_not_changed_is_not_read_again(
    runs: list[RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecotui import runs_table

    read: list[str] = []
    real = runs_table.row_of

    def noted(run: RunDir) -> RunRow:
        read.append(run.run_id)
        return real(run)

    monkeypatch.setattr(runs_table, "row_of", noted)
    rows = Rows()
    assert len(rows.of(runs)) == 4
    rows.of(runs)
    assert len(read) == 4
    with runs[1].events.open("ab") as log:
        log.write(b"\n")
    rows.of(runs)
    assert read[4:] == [runs[1].run_id]


@pytest.mark.parametrize("room", [58, 76, 118, 198])
def test_columns_fill_the_room_and_no_more(room: int) -> None:
    assert sum(widths_for(room)) + 14 <= room


@pytest.mark.parametrize(
    ("name", "cells", "shown"),
    [
        ("digits-20261123-141502-3f9a", 30, "digits-20261123-141502-3f9a"),
        ("digits-20261123-141502-3f9a", 20, "digits…3f9a"),
        ("digits-20261123-141502-3f9a", 8, "dig…3f9a"),
        ("a-name-of-ones-own", 5, "a-name-of-ones-own"),
    ],
)
def test_a_name_is_shortened_by_its_date(name: str, cells: int, shown: str) -> None:
    assert short_name(name, cells) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "now"), (59, "now"), (61, "1 min"), (7_300, "2 h"), (200_000, "2 d")],
)
def test_an_age_is_a_word_or_two(seconds: float, words: str) -> None:
    assert age_words(seconds) == words

"""Results, comparison and config editing: what is shown, and what each key asks for."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import DataTable

from ecotui.jobs import ExportJob
from ecotui.mistakes import Mistake
from ecotui.paths import RunDir, shipped_configs
from ecotui.screens.config import ConfigScreen
from ecotui.screens.dialogs.choice import ChoiceScreen
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.home import HomeScreen
from ecotui.screens.results import free_path
from ecotui.screens.results_mistakes import MistakesPanel, card_lines
from ecotui.widgets.overlay_chart import Curve, plot
from tests.screens.looks import LOOKS, assert_text, colours_on, shots
from tests.screens.stories import play

Open = Callable[..., Any]
Recorded = Callable[[str], RunDir]


async def wait_until(here: Any, is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        await here.pilot.pause(0.005)
        if is_so():
            return
    raise AssertionError(here.text())


async def at_the_results(here: Any) -> None:
    here.engine.go_on()
    await here.settle()
    await here.press("4")
    await here.settle()


@pytest.fixture
def mistakes(tmp_path: Path) -> None:
    """Write the mistakes of the recorded run's test where the app looks for them."""
    run = RunDir(tmp_path / "runs" / "full")
    run.path.mkdir(parents=True)
    names = [("glass/[/0.jpg", "glass", "metal", 0.97), ("paper/1.jpg", "paper", "trash", 0.5)]
    keys = ("path", "true", "predicted", "confidence")
    told = [dict(zip(keys, name, strict=True)) for name in names]
    run.mistakes.write_text(json.dumps({"split": "test", "epoch": 2, "mistakes": told}))
    classes = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    rows = [[14 if row == column else row + column for column in range(6)] for row in range(6)]
    record = {"per_class": [{"name": name} for name in classes], "confusion": rows}
    run.evaluations.mkdir()
    (run.evaluations / "epoch-000002.json").write_text(json.dumps(record))


@pytest.mark.usefixtures("mistakes")
@pytest.mark.parametrize("look", LOOKS)
def test_results_look_like_their_texts(look: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_results(here)
        await wait_until(here, lambda: "97% metal" in here.text())
        for size, shown in (await shots(here)).items():
            assert "pytest-" not in shown
            assert_text(shown, f"results_{size}{'_ascii' if look == 'ascii' else ''}")
            assert look != "ascii" or shown.isascii()
        assert (len(colours_on(here.app)) > 3) == (look == "colour")

    play(story, open_app("full_run", settings=LOOKS[look]))


@pytest.mark.usefixtures("mistakes")
def test_a_mistake_says_what_it_is_what_it_was_taken_for_and_how_surely(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_results(here)
        await wait_until(here, lambda: "97% metal" in here.text())
        assert "is glass" in here.text()
        assert "glass/[/0.jpg" in here.text()
        assert "glass/[/0.jpg\tglass\tmetal\t97.00%" in (
            here.app.screen.query_one(MistakesPanel).copy_text()
        )

    play(story, open_app("full_run"))


def test_a_long_path_keeps_its_end() -> None:
    lines = card_lines(Mistake(f"{'a' * 60}/end.jpg", "x", "y", 0.5))
    assert lines[2].plain.endswith("/end.jpg")
    assert lines[2].plain.startswith("…")
    assert lines[2].cell_length == 20


@pytest.mark.parametrize(("keys", "form"), [(("enter",), "timm"), (("down", "enter"), "pth")])
def test_x_exports_in_the_form_chosen(keys: tuple[str, ...], form: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_results(here)
        await here.press("x")
        assert isinstance(here.app.screen, ChoiceScreen)
        await here.press(*keys)
        await wait_until(here, lambda: here.app.errand is not None)
        job = here.app.errand.job
        assert isinstance(job, ExportJob)
        assert job.format == form
        assert Path(job.run_path) == Path("runs/full").absolute()
        assert job.output.endswith(".pth") == (form == "pth")
        await here.wait_for("✗ not exported")  # the stand-in of the engine fails, and that is told

    play(story, open_app("full_run"))


def test_an_export_never_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "best-2.pth").touch()
    assert free_path(path) == tmp_path / "best-3.pth"


def test_e_goes_on_with_more_epochs(open_app: Open, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "runs" / "full")
    run.path.mkdir(parents=True)
    run.config.write_text('[data]\nroot = "/photos"\n[train]\nepochs = 3\n')

    async def story(here: Any) -> None:
        await at_the_results(here)
        await here.press("e")
        assert "3 of 3 epochs done" in here.text()
        await here.press("ctrl+a", "ctrl+k", "2", "enter")
        assert "more than the 3 done already" in here.text()
        await here.press("backspace", "9", "enter")
        await wait_until(here, lambda: bool(here.launched))
        assert [each.run_id for each in here.launched] == ["full"]
        assert here.settings == [("train.epochs=9",)]

    play(story, open_app("full_run"))


def test_v_compares_with_the_run_chosen(open_app: Open, recorded: Recorded) -> None:
    recorded("stopped")

    async def story(here: Any) -> None:
        await at_the_results(here)
        await here.press("v")
        await wait_until(here, lambda: isinstance(here.app.screen, ChoiceScreen))
        await here.press("enter")
        await here.wait_for("Compare  2 runs")
        assert [run.run_id for run in here.app.visited] == ["full", "stopped"]
        await here.press("escape")
        await here.settle()
        assert here.app.current_mode == "results"

    play(story, open_app("full_run"))


# Comparison --------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
def test_a_comparison_looks_like_its_texts(look: str, open_app: Open, recorded: Recorded) -> None:
    for name, epochs in (("full_run", 3), ("stopped", 4)):
        recorded(name).config.write_text(f"[train]\nepochs = {epochs}\nema = true\n")

    async def story(here: Any) -> None:
        await here.wait_for("finished")
        await here.press("c")
        await here.wait_for("1 setting differs")
        for size, shown in (await shots(here)).items():
            assert_text(shown, f"compare_{size}{'_ascii' if look == 'ascii' else ''}")
            assert look != "ascii" or shown.isascii()
        await here.press("f")
        await here.wait_for("Macro F1")
        await here.press("f")
        await here.wait_for("Validation loss")

    play(story, open_app("full_run", opening=None, settings=LOOKS[look]))


def test_curves_on_one_another_are_all_to_be_seen() -> None:
    points = ((1.0, 0.1), (5.0, 0.9))
    cells = plot([Curve("a", points), Curve("b", points)], 40, 8)
    drawn = "".join(symbol for row in cells for symbol, _ in row)
    assert drawn.count("o") == drawn.count("x") == 20


# Config editing ----------------------------------------------------------------------------------


async def at_the_config(here: Any) -> ConfigScreen:
    await here.settle()
    await here.press("e")
    await wait_until(here, lambda: isinstance(here.app.screen, ConfigScreen))
    await here.settle()
    screen = here.app.screen
    assert isinstance(screen, ConfigScreen)
    return screen


async def find(here: Any, words: str) -> None:
    await here.press("slash", *words.replace("_", " "), "enter")
    await here.settle()


@pytest.mark.parametrize("look", LOOKS)
def test_config_editing_looks_like_its_texts(look: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_config(here)
        await here.press(*["down"] * 4, "enter", "x")
        await here.settle()
        for size, shown in (await shots(here)).items():
            assert_text(shown, f"config_{size}{'_ascii' if look == 'ascii' else ''}")
            assert look != "ascii" or shown.isascii()

    play(story, open_app("full_run", opening=None, settings=LOOKS[look]))


def test_a_value_is_judged_as_it_is_typed_and_trained_with(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_config(here)
        await find(here, "passes over the training split")
        await here.press("enter", "ctrl+a", "ctrl+k", "x")
        await here.wait_for("✗ a whole number")
        await here.press("enter")  # does nothing while it is wrong
        assert "✗ a whole number" in here.text()
        await here.press("backspace", "5")
        await here.wait_for("✓ fine")
        await here.press("enter", "s")
        await wait_until(here, lambda: bool(here.launched))
        assert tomllib.loads(here.launched[0].config.read_text())["train"]["epochs"] == 5

    play(story, open_app("full_run", opening=None))


def test_the_settings_say_how_one_is_changed_and_how_all_come_back(open_app: Open) -> None:
    async def story(here: Any) -> None:
        screen = await at_the_config(here)
        assert "Enter changes the one under the cursor" in here.text()
        everything = screen.query_one("#settings", DataTable).row_count
        await here.press("slash", *"max_steps", "enter")
        await here.wait_for("1 found: Enter changes one, Esc lists all again")
        await here.press("escape")
        await here.settle()
        assert here.app.screen is screen
        assert screen.query_one("#settings", DataTable).row_count == everything
        assert screen._field is not None
        assert screen._field.key == "train.max_steps"

    play(story, open_app("full_run", opening=None))


def test_a_shipped_config_is_copied_and_never_written(open_app: Open, tmp_path: Path) -> None:
    shipped = shipped_configs()["digits"]
    before = shipped.read_bytes()

    async def story(here: Any) -> None:
        screen = await at_the_config(here)
        assert "belongs to ecotui" in screen._path_fault(str(shipped))
        await find(here, "passes over the training split")
        await here.press("enter", "ctrl+a", "ctrl+k", "5", "enter", "w")
        await here.settle()
        assert "my-digits.toml" in here.text()
        await here.press("enter")
        await wait_until(here, (tmp_path / "my-digits.toml").is_file)
        await here.press("escape", "escape")  # all settings are back; nothing would be lost
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)

    play(story, open_app("full_run", opening=None))
    written = (tmp_path / "my-digits.toml").read_text()
    assert tomllib.loads(written)["train"]["epochs"] == 5
    assert written.startswith("# The demo")
    assert shipped.read_bytes() == before


def test_changes_are_taken_back_set_to_the_default_and_not_lost_unasked(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await at_the_config(here)
        await find(here, "passes over the training split")
        table = here.app.screen.query_one("#settings", DataTable)

        def value() -> str:
            return str(table.get_row_at(table.cursor_row)[2])

        assert value() == "12"
        await here.press("d")
        assert value() == "20"
        await here.press("escape", "escape")
        await here.settle()
        assert isinstance(here.app.screen, ConfirmScreen)
        await here.press("n")
        await here.settle()
        await here.press("u")
        assert value() == "12"
        await here.press("escape")
        await here.settle()
        assert isinstance(here.app.screen, HomeScreen)

    play(story, open_app("full_run", opening=None))

"""The training screen: what each key and dialog shows and asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.actions.training import TABS
from ecotui.commands import (
    ContinueRun,
    ExtendRun,
    PauseRun,
    SaveCheckpoint,
    SetLearningRate,
    SilenceGuard,
    StopRun,
)
from ecotui.events import CommandAnswered, ConfigChanged, RunPaused
from ecotui.healing import IncidentRecorded, MachineMeasured
from ecotui.jobs import ExportJob
from ecotui.paths import RunDir
from ecotui.screens.dialogs.alert import AlertScreen, TextScreen
from ecotui.screens.dialogs.layer import LayerScreen
from ecotui.screens.training_files import confusion_of, record_of, sizes_of
from tests.screens.looks import LOOKS, assert_text, shots
from tests.screens.stories import play

Open = Callable[..., Any]
HOSTILE = "[@click=app.quit]x[/] \x1b[31m"


async def training(here: Any, kind: str = "stage_advanced", nth: int = 13) -> None:
    """Let the run come to a moment of its training."""
    here.engine.go_on_to(kind, nth)
    await here.settle()


async def pressed(here: Any, *keys: str) -> str:
    await here.press(*keys)
    await here.settle()
    return str(here.text())


def write_evaluation(epoch: int, names: list[str]) -> None:
    """Write what the engine writes of a validation, in the run of the recording."""
    size = len(names)
    rows = [[9 if a == b else int(b == (a + 1) % size) for b in range(size)] for a in range(size)]
    path = Path("runs/full/evaluations") / f"epoch-{epoch:06d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"per_class": [{"name": n} for n in names], "confusion": rows}))


def write_checkpoints(*names: str) -> None:
    """Make the directories of checkpoints, each with a file of a thousand bytes, and the run's."""
    Path("runs/full").mkdir(parents=True, exist_ok=True)
    Path("runs/full/job.json").write_text('{"kind": "train"}')
    Path("runs/full/config.toml").write_text('name = "full"\n[data]\nroot = "photos"\n')
    for name in names:
        folder = Path("runs/full/checkpoints") / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"x" * 1000)


# Tabs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("C", "Learning rate"),
        ("A", "Enter opens, f level, t text, a seen"),
        ("K", "Enter resumes, x exports the best, D deletes"),
        ("L", "Classes, lowest F1 first"),
        ("M", "waiting for photos"),
        ("H", "Health and scorecard"),
    ],
)
def test_each_tab_has_its_key_and_takes_the_focus(key: str, words: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        name = next(tab for tab in TABS if tab.key == key)
        assert words not in here.text()
        shown = await pressed(here, key)
        assert words in shown
        assert f"[{key} {name.word}" in shown
        assert here.app.focused is not None
        assert any(node.id == name.id for node in here.app.focused.ancestors)
        assert "[O Overview]" in await pressed(here, "O")

    play(story, open_app("full_run"))


def test_brackets_turn_through_the_tabs_and_round(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        for tab in (*TABS[1:], TABS[0]):
            assert f"[{tab.key} {tab.word}" in await pressed(here, "right_square_bracket")
        assert "[H Health]" in await pressed(here, "left_square_bracket")

    play(story, open_app("full_run"))


def test_hidden_tabs_are_made_when_they_are_first_seen(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        made = {type(widget).__name__ for widget in here.app.screen.query("*")}
        assert not made & {"CheckpointTable", "ClassTable", "MachinePanel", "AlertDetail"}
        await pressed(here, "K")
        assert here.app.screen.query("CheckpointTable")

    play(story, open_app("full_run"))


def test_a_click_on_a_tab_goes_there(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        line = next(line for line in here.text().splitlines() if "[O Overview]" in line)
        await here.pilot.click("TabLine", offset=(line.index("C Charts"), 0))
        assert "[C Charts]" in await pressed(here)

    play(story, open_app("full_run"))


# Requests ----------------------------------------------------------------------------------------


def plain(command: Any) -> dict[str, Any]:
    return dict(command.model_dump(exclude={"id", "reason"}))


@pytest.mark.parametrize(
    ("keys", "wanted", "pending"),
    [
        ("s", StopRun(), "stopping, saving a checkpoint"),
        ("S", StopRun(after_epoch=True), "stopping after this epoch"),
        ("p", PauseRun(), "pausing"),
        ("P", PauseRun(free_memory=True), "pausing"),
        ("c", SaveCheckpoint(), "checkpoint asked for"),
        (
            ("l", *["backspace"] * 12, *"3e-4", "enter"),
            SetLearningRate(learning_rate=3e-4),
            "learning rate 0.0003 asked for",
        ),
        (
            ("e", "backspace", *"20", "enter"),
            ExtendRun(epochs=20),
            "20 epochs asked for",
        ),
        (
            ("m", *"loss_sp", "enter"),
            SilenceGuard(guard="loss_spike"),
            "silencing loss_spike",
        ),
    ],
)
def test_each_key_asks_the_engine_and_stays_pending_until_it_answers(
    keys: tuple[str, ...] | str, wanted: Any, pending: str, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        await training(here)
        shown = await pressed(here, *keys)
        (asked,) = here.engine.asked
        assert plain(asked) == plain(wanted)
        assert pending in shown.splitlines()[0]
        answer = {"command_id": asked.id, "command": asked.kind}
        here.engine.say(CommandAnswered(**answer, accepted=False, why="not now"))
        await here.settle()
        assert pending not in here.text().splitlines()[0]
        assert "refused" in here.text()

    play(story, open_app("full_run", size=(120, 40)))


def test_a_paused_run_is_continued_with_the_same_key_and_the_footer_says_so(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        assert "p Pause" in here.text().splitlines()[-1]
        here.engine.say(RunPaused(step=48, why="asked in the app"))
        await here.settle()
        footer = here.text().splitlines()[-1]
        assert "p Continue" in footer
        assert "Pause" not in footer
        await here.press("p")
        assert [plain(each) for each in here.engine.asked] == [plain(ContinueRun())]

    play(story, open_app("full_run"))


def test_detaching_leaves_the_run_alone(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        await here.press("d")
        await here.pilot.pause()
        assert here.engine.asked == []
        assert here.app.return_value == 0

    play(story, open_app("full_run"))


# Alerts ------------------------------------------------------------------------------------------


def test_why_an_alert_came_is_two_keys_away(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        shown = await pressed(here, "A", "enter")
        assert isinstance(here.app.screen, AlertScreen)
        assert "The validation loss has risen for 3 epochs" in shown
        assert "Advice: Consider more augmentation." in shown
        await pressed(here, "escape")
        assert not isinstance(here.app.screen, AlertScreen)

    play(story, open_app("full_run"))


def incident(file: str = "incidents/one.json") -> IncidentRecorded:
    return IncidentRecorded(
        incident="one",
        layer=5,
        guard="nonfinite_loss",
        step=35,
        cause="data",
        what=f"the loss of one photo is not finite {HOSTILE}",
        advice="look at the files",
        files=("glass/a.jpg", f"b{HOSTILE}.jpg"),
        file=file,
    )


def test_an_alert_names_its_files_its_page_and_opens_its_record(open_app: Open) -> None:
    async def story(here: Any) -> None:
        Path("runs/full/incidents").mkdir(parents=True)
        Path("runs/full/incidents/one.json").write_text('{\n "cause": "data [/"\n}')
        await training(here)
        here.engine.say(incident())
        await here.settle()
        shown = await pressed(here, "A", "enter")
        assert "\x1b" not in shown
        for words in ("glass/a.jpg", "docs/alerts.md#nonfinite_loss", "Why it matters", "i the"):
            assert words in shown
        shown = await pressed(here, "i")
        assert type(here.app.screen) is TextScreen
        assert '"cause": "data [/"' in shown
        await pressed(here, "escape")
        assert not isinstance(here.app.screen, TextScreen)

    play(story, open_app("full_run", size=(120, 40)))


def test_from_an_alert_its_guard_is_silenced(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        here.engine.say(incident())
        await here.settle()
        await pressed(here, "A", "enter", "m")
        (asked,) = here.engine.asked
        assert plain(asked) == plain(SilenceGuard(guard="nonfinite_loss", silent=True))
        here.engine.say(
            ConfigChanged(
                key="guards.silenced", old="[]", new='["nonfinite_loss"]', step=48, why="asked"
            )
        )
        await here.settle()
        assert "m lets the guard act again" in await pressed(here, "enter")
        await pressed(here, "m")
        assert plain(here.engine.asked[-1]) == plain(
            SilenceGuard(guard="nonfinite_loss", silent=False)
        )

    play(story, open_app("full_run", size=(120, 40)))


def test_from_an_alert_one_comes_to_its_layer_and_can_acknowledge_it(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        assert "A Alerts 6" in here.text()
        await pressed(here, "A", "enter", "l")
        assert isinstance(here.app.screen, LayerScreen)
        assert "Layer 7: epoch" in await pressed(here)
        await pressed(here, "escape", "enter", "a")
        assert "A Alerts 5" in await pressed(here)
        assert "A Alerts 6" not in await pressed(here, "X")
        assert "[A Alerts]" in await pressed(here)

    play(story, open_app("full_run"))


def test_alerts_that_were_seen_stay_so_when_the_app_is_opened_again(open_app: Open) -> None:
    async def see_one(here: Any) -> None:
        await training(here)
        await pressed(here, "A", "end", "a")
        assert "A Alerts 5" in await pressed(here)

    async def come_back(here: Any) -> None:
        await training(here)
        assert "A Alerts 5" in await pressed(here, "A")

    play(see_one, open_app("full_run"))
    play(come_back, open_app("full_run"))


def test_beside_a_wide_log_the_chosen_alert_is_told_in_full(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        shown = await pressed(here, "A", "home", "down")
        assert "The chosen alert" in shown
        assert "Done about it: the batch was skipped" in shown
        assert "step 32, layer 4 batch" in shown

    play(story, open_app("full_run", size=(120, 40)))


# Layers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("downs", range(7))
def test_enter_opens_the_history_of_a_layer(downs: int, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        shown = await pressed(here, "H", *["down"] * downs, "enter")
        assert isinstance(here.app.screen, LayerScreen)
        assert f"Layer {downs + 1}: " in shown
        if downs + 1 >= 4:
            assert "guard  " in shown
            assert "limits: " in shown
        elif downs + 1 == 2:
            assert "✓ pass transform validation passed" in shown.replace("  ", " ")
        for line in shown.splitlines():
            if "! warning" in line and "│ •" in line:
                assert f" {downs + 1} " in line

    play(story, open_app("full_run", size=(120, 40)))


def test_in_a_layer_a_guard_is_silenced_with_enter(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        await pressed(here, "H", *["down"] * 4, "enter", "down", "enter")
        assert [plain(each) for each in here.engine.asked] == [
            plain(SilenceGuard(guard="loss_spike", silent=True))
        ]

    play(story, open_app("full_run"))


def test_in_a_layer_an_alert_is_opened_with_enter(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        await pressed(here, "H", *["down"] * 4, "enter", "tab", "enter")
        assert isinstance(here.app.screen, AlertScreen)
        assert here.engine.asked == []

    play(story, open_app("full_run"))


def test_once_the_run_is_over_nothing_can_be_silenced(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        shown = await pressed(here, "H", *["down"] * 4, "enter")
        assert "silences" not in shown
        await pressed(here, "enter")
        assert isinstance(here.app.screen, LayerScreen)
        assert here.engine.asked == []

    play(story, open_app("full_run"))


# Checkpoints -------------------------------------------------------------------------------------


def test_the_best_model_is_exported_in_three_keys(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        await pressed(here, "K", "x", "enter")
        await here.settle()
        job = here.app.errand.job
        assert isinstance(job, ExportJob)
        assert job.format == "pth"
        assert job.output.endswith("runs/full/exports/best_model_epoch2_acc72.50.pth")
        assert Path(job.run_path).is_absolute()

    play(story, open_app("full_run"))


def test_an_export_that_is_there_already_is_not_made_again(open_app: Open) -> None:
    async def story(here: Any) -> None:
        folder = Path("runs/full/exports/best_model_epoch2_acc72.50")
        folder.mkdir(parents=True)
        here.engine.go_on()
        await here.settle()
        shown = await pressed(here, "K", "x", "down", "enter")
        assert "is there already" in " ".join(shown.replace("▌", " ").split())
        assert here.app.errand is None

    play(story, open_app("full_run", size=(120, 40)))


def test_the_table_says_what_was_removed_and_how_large_the_best_is(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("best_model_epoch2_acc72.50", "step-0000000072")
        here.engine.go_on()
        await here.settle()
        await pressed(here, "K")
        await here.wait_for("removed")
        rows = {line.split()[0]: line for line in here.text().splitlines() if "27.8 MB" in line}
        assert "removed" not in rows["72"]
        assert "removed" in rows["48"]
        assert "1.0 kB    to export" in here.text()

    play(story, open_app("full_run"))


def test_a_checkpoint_is_deleted_after_a_yes(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("step-0000000024", "step-0000000032")
        here.engine.go_on()
        await here.settle()
        shown = await pressed(here, "K", "down", "D")
        assert "checkpoints/step-0000000032 of full." in shown
        await pressed(here, "n")
        assert Path("runs/full/checkpoints/step-0000000032").is_dir()
        await pressed(here, "D", "y")
        await here.wait_for("deleted checkpoints/step-0000000032")
        assert [each.name for each in Path("runs/full/checkpoints").iterdir()] == [
            "step-0000000024"
        ]
        await here.wait_for("removed")

    play(story, open_app("stopped"))


def test_the_last_checkpoint_says_what_its_removal_means(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("step-0000000032")
        here.engine.go_on()
        await here.settle()
        assert "the run cannot go on without it" in await pressed(here, "K", "down", "D")

    play(story, open_app("stopped"))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("D",), "the best model stays"),
        (("enter",), "the best model holds weights alone"),
        (("down", "D"), "stop it first"),
        (("down", "enter"), "stop it first"),
    ],
)
def test_what_cannot_be_done_with_a_checkpoint_says_why(
    keys: tuple[str, ...], words: str, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        await training(here)
        shown = await pressed(here, "K", *keys)
        assert words in " ".join(shown.replace("▌", " ").split())
        assert here.engine.asked == []

    play(story, open_app("full_run", size=(120, 40)))


def test_a_stopped_run_goes_on_from_its_newest_checkpoint(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("step-0000000024", "step-0000000032")
        here.engine.go_on()
        await here.settle()
        await pressed(here, "K", "down", "enter")
        await here.settle()
        assert here.launched == [RunDir(Path("runs/full"))]
        assert len(list(Path("runs/full/checkpoints").iterdir())) == 2

    play(story, open_app("stopped", next_recording="full_run"))


def test_from_an_earlier_checkpoint_it_goes_on_once_newer_ones_may_go(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("step-0000000024", "step-0000000032")
        here.engine.go_on()
        await here.settle()
        shown = await pressed(here, "K", "down", "down", "enter")
        shown = shown.replace("24│ removed", "│ removed")
        assert "will be removed: checkpoints/step-0000000032" in " ".join(
            shown.replace("│", " ").split()
        )
        await pressed(here, "n")
        assert here.launched == []
        await pressed(here, "enter", "y")
        await here.settle()
        assert here.launched == [RunDir(Path("runs/full"))]
        assert [each.name for each in Path("runs/full/checkpoints").iterdir()] == [
            "step-0000000024"
        ]

    play(story, open_app("stopped", next_recording="full_run"))


def test_who_only_watches_can_neither_export_nor_delete(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_checkpoints("step-0000000024", "step-0000000032")
        here.engine.go_on()
        await here.settle()
        await pressed(here, "K", "down", "D", "y", "x", "enter", "enter")
        assert here.app.errand is None
        assert here.launched == []
        assert Path("runs/full/checkpoints/step-0000000032").is_dir()

    settings = LOOKS["colour"]._replace(is_readonly=True)
    play(story, open_app("stopped", settings=settings))


def test_the_end_of_the_run_takes_no_focus_from_another_tab(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        await pressed(here, "K")
        here.engine.go_on()
        await here.settle()
        assert type(here.app.focused).__name__ == "CheckpointTable"

    play(story, open_app("full_run"))


# Classes, machine, health ------------------------------------------------------------------------


def test_scores_and_confusion_change_places_where_there_is_little_room(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_evaluation(1, ["cardboard", "glass", "[/"])
        await training(here)
        shown = await pressed(here, "L")
        assert "precision" in shown
        assert "Confusion" not in shown
        await pressed(here, "L")
        await here.wait_for("cardboard taken for glass: 1 of 10 (10.0%)")
        assert "precision" not in here.text()
        assert "[/ taken for cardboard" in here.text()
        assert "precision" in await pressed(here, "L")

    play(story, open_app("full_run"))


def test_with_more_room_both_are_in_view(open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_evaluation(1, ["cardboard", "glass"])
        await training(here)
        await pressed(here, "L")
        await here.wait_for("Most often mistaken")
        assert "precision" in here.text()

    play(story, open_app("full_run", size=(140, 40)))


def test_a_matrix_that_cannot_be_read_says_why(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        await pressed(here, "L", "L")
        await here.wait_for("cannot be read")
        assert "epoch-000001.json cannot be read: No such file" in " ".join(here.text().split())

    play(story, open_app("full_run"))


def test_the_machine_is_shown_as_it_was_measured(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        assert "the machine was not measured yet" in await pressed(here, "M")
        here.engine.say(
            MachineMeasured(
                step=48,
                cpu_fraction=0.5,
                memory_used_bytes=8_000_000_000,
                memory_total_bytes=16_000_000_000,
                engine_memory_bytes=4_000_000_000,
                disk_free_bytes=123_000_000_000,
                gpu_fraction=0.75,
                gpu_memory_used_bytes=1_000_000_000,
                gpu_memory_total_bytes=4_000_000_000,
                gpu_temperature_celsius=71.4,
            )
        )
        await here.settle()
        lines = {line.strip()[:10].strip(): line for line in here.text().splitlines()}
        assert "75%  71 °C" in lines["GPU"]
        assert "25%  1.0 GB of 4.0 GB" in lines["GPU memory"]
        assert "50%" in lines["processors"]
        assert "50%  8.0 GB of 16.0 GB" in lines["memory"]
        assert "123.0 GB" in lines["disk, free"]
        assert "4%  85 images/s" in lines["waiting fo"]

    play(story, open_app("full_run"))


def test_health_and_scorecard_are_told_in_signs_and_words(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await training(here)
        assert "! 3 warning ✓ 4 good" in here.text()
        shown = await pressed(here, "H")
        assert "! warning" in shown
        assert "✓ good" in await pressed(here, "tab", *["down"] * 9)
        assert "✓ met" in await pressed(here, "end")

    play(story, open_app("full_run"))


def test_at_the_end_the_best_checkpoint_stands_before_the_tables(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        shown = here.text()
        assert shown.index("best checkpoint: ") < shown.index("class by class")
        assert shown.index("class by class") < shown.index("scorecard: 8 of 11 met")

    play(story, open_app("full_run", size=(100, 30)))


# Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "", "\x00"])
def test_no_file_outside_the_run_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    assert "secret words" not in record_of(run, name)
    assert "does not lie in this run" in record_of(run, name)
    assert confusion_of(run, name)[0] is None
    assert sizes_of(run, [name]) == {}


def test_a_link_out_of_the_run_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    (run.path / "link").symlink_to(tmp_path / "secret")
    assert "does not lie in this run" in record_of(run, "link")


# Looks -------------------------------------------------------------------------------------------

TABBED = {"charts": "C", "alerts": "A", "checkpoints": "K", "classes": "L", "machine": "M"}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("tab", [*TABBED, "health"])
def test_each_tab_looks_like_its_text(tab: str, look: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        write_evaluation(1, ["cardboard", "glass", "metal", "paper", "plastic", "trash"])
        await training(here)
        await pressed(here, TABBED.get(tab, "H"))
        for size, shown in (await shots(here)).items():
            if look == "ascii":
                assert shown.isascii()
            suffix = "_ascii" if look == "ascii" else ""
            assert_text(shown, f"tab_{tab}_{size}{suffix}")

    play(story, open_app("full_run", settings=LOOKS[look]))

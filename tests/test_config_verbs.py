from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from ecotui import session
from ecotui.cli import main
from ecotui.config import RunConfig
from ecotui.config_file import load_config
from ecotui.errors import ExitCode
from ecotui.events import DatasetDescribed
from ecotui.suggestions import suggest

Capture = pytest.CaptureFixture[str]
TESTS = Path(__file__).parent


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return int(str(caught.value.code))


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    argv = (sys.executable, str(TESTS / "stand_in_engine.py"), "describes")
    monkeypatch.setattr(session, "ENGINE_ARGV", argv)
    monkeypatch.chdir(tmp_path)


def described(**changes: int) -> DatasetDescribed:
    sizes = {"num_train": 80, "smallest_class": 40, "largest_class": 50} | changes
    return DatasetDescribed(
        layout="classes",
        class_names=("a", "b"),
        num_classes=2,
        num_val=20,
        num_test=0,
        median_width=64,
        median_height=48,
        **sizes,
    )


@pytest.mark.parametrize("name", ["digits", "smoke", "trashnet", "waste30"])
def test_a_shipped_config_is_shown_whole_and_documented(name: str, capsys: Capture) -> None:
    assert run_cli("config", "show", name, "--set", "train.epochs=7") == ExitCode.DONE
    shown = capsys.readouterr().out
    table = tomllib.loads(shown)
    assert table["train"]["epochs"] == 7
    assert RunConfig.model_validate(table).train.epochs == 7
    assert "# Passes over the training split" in shown


def test_a_valid_config_is_named_with_what_it_trains(capsys: Capture) -> None:
    assert run_cli("config", "validate", "digits") == ExitCode.DONE
    told = capsys.readouterr().out
    assert "is valid: test_resnet from scratch, 12 epochs, data in demo:digits" in told


@pytest.mark.parametrize("argv", [("trashnet",), ("nothing",), ("digits", "--set", "train.x=1")])
def test_a_config_that_cannot_run_is_three_lines(argv: tuple[str, ...], capsys: Capture) -> None:
    assert run_cli("config", "validate", *argv) == ExitCode.USAGE
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "error",
        "expected",
        "to fix",
    ]


def test_the_schema_is_json_and_documents_every_setting(capsys: Capture) -> None:
    assert run_cli("config", "schema") == ExitCode.DONE
    schema = json.loads(capsys.readouterr().out)
    assert "epochs" in schema["$defs"]["TrainConfig"]["properties"]


def test_init_writes_a_config_that_loads(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "My photos!").mkdir()
    assert run_cli("config", "init", "--data", "My photos!", "--model", "vit_tiny") == ExitCode.DONE
    told = capsys.readouterr().out
    written = tmp_path / "My-photos.toml"
    loaded = load_config(str(written))
    assert loaded.config.data.root == str(tmp_path / "My photos!")
    assert (loaded.config.model.name, loaded.config.model.pretrained) == ("vit_tiny", True)
    assert "# 2 classes: cat, dog\\n" in written.read_text()
    assert f"to train: ecotui --headless {written}" in told
    assert {path.name for path in tmp_path.iterdir()} <= {"My photos!", "My-photos.toml", "home"}


def test_init_overwrites_only_when_forced(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.toml").write_text("precious")
    argv = ("config", "init", "--data", "demo:digits", "--output", "mine.toml")
    assert run_cli(*argv) == ExitCode.USAGE
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine.toml").read_text() == "precious"
    assert run_cli(*argv, "--force") == ExitCode.DONE
    assert load_config("mine.toml").config.data.root == "demo:digits"


def test_init_of_an_unusable_folder_tells_what_the_engine_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    argv = (sys.executable, "-c", "raise SystemExit('no photos')")
    monkeypatch.setattr(session, "ENGINE_ARGV", argv)
    assert run_cli("config", "init", "--data", "empty") == ExitCode.ERROR
    told = capsys.readouterr().err
    assert "exit status 1" in told
    assert not (tmp_path / "empty.toml").exists()


def test_a_config_that_cannot_be_written_is_told(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    argv = ("config", "init", "--data", "demo:digits", "--output", "file/x.toml")
    assert run_cli(*argv) == ExitCode.USAGE
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(("num_train", "batch_size"), [(80, 8), (500, 16), (5_000, 32)])
def test_the_batch_follows_the_size_of_the_data(num_train: int, batch_size: int) -> None:
    config = suggest(described(num_train=num_train), root="/photos", model="resnet18")
    assert config.train.batch_size == batch_size


def test_unequal_classes_are_weighed_and_judged_evenly() -> None:
    even = suggest(described(), root="/photos", model="resnet18").train
    uneven = suggest(described(largest_class=900), root="/photos", model="resnet18").train
    assert (even.class_weights, even.metric) == ("none", "accuracy")
    assert (uneven.class_weights, uneven.metric) == ("balanced", "macro_f1")

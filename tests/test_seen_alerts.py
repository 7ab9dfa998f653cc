"""Which alerts were seen, from one start of the app to the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecotui import seen_alerts
from ecotui.paths import RunDir
from ecotui.seen_alerts import SeenAlerts, seen_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(seen_alerts, "seen_folder", lambda: tmp_path / "state" / "seen")
    return tmp_path / "state" / "seen"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "runs" / "mine")
    made.path.mkdir(parents=True)
    made.config.write_text("")
    return made


def test_lines_are_kept_for_the_run_and_not_in_it(run: RunDir, folder: Path) -> None:
    first, second = SeenAlerts(run), SeenAlerts(run)
    first.note("3")
    second.note("all 9 5")
    first.note("12")
    assert SeenAlerts(run).lines() == ["3", "all 9 5", "12"]
    assert [path.name for path in run.path.iterdir()] == ["config.toml"]
    assert len(list(folder.iterdir())) == 1


def test_another_run_in_the_same_place_has_none(run: RunDir) -> None:
    SeenAlerts(run).note("3")
    os.utime(run.config, (1_000_000, 1_000_000))
    assert SeenAlerts(run).lines() == []


def test_without_room_nothing_is_kept_and_nothing_fails(run: RunDir, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in the place of the folder")
    SeenAlerts(run).note("3")
    assert SeenAlerts(run).lines() == []


def test_files_of_many_runs_do_not_pile_up(
    run: RunDir, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_alerts, "MAX_RUNS", 3)
    for age in range(6):
        os.utime(run.config, (age, age))
        SeenAlerts(run).note("1")
        for path in folder.iterdir():
            os.utime(path, (age, path.stat().st_mtime if path.stat().st_mtime < 10 else age))
    assert len(list(folder.iterdir())) == 3
    assert SeenAlerts(run).lines() == ["1"]


def test_it_lies_in_the_folder_for_the_state_of_apps() -> None:
    assert seen_folder().parts[-2:] == ("ecotui", "seen")

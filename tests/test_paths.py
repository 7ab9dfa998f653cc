"""Runs are found as a person names them, and shipped configs wherever ecotui is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui import paths
from ecotui.errors import UsageError
from ecotui.paths import (
    RUN_ID_PATTERN,
    RunDir,
    choose_runs_dir,
    find_run,
    list_runs,
    new_run_id,
    shipped_configs,
)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Three runs, the last one newest, and things that are no runs."""
    folder = tmp_path / "runs"
    for age, run_id in enumerate(["cats-2", "digits-1", "digits-10"]):
        make_run(folder / run_id, written_at=1_000.0 + age)
    (folder / ".jobs" / "export-1").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a file").write_text("")
    return folder


def make_run(path: Path, *, written_at: float = 0.0) -> RunDir:
    path.mkdir(parents=True)
    run = RunDir(path)
    run.config.write_text("")
    os.utime(run.config, (written_at, written_at))
    return run


def test_runs_are_listed_newest_first_and_nothing_else(runs_dir: Path) -> None:
    assert [run.run_id for run in list_runs(runs_dir)] == ["digits-10", "digits-1", "cats-2"]


@pytest.mark.parametrize("name", ["missing", "a\0b"])
def test_an_absent_runs_directory_has_no_runs(tmp_path: Path, name: str) -> None:
    assert list_runs(tmp_path / name) == []


def test_a_runs_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    path.write_text("")
    with pytest.raises(UsageError, match="cannot be read: Not a directory"):
        list_runs(path)


@pytest.mark.parametrize(
    ("reference", "run_id"),
    [
        ("digits-1", "digits-1"),
        ("digits-10", "digits-10"),
        ("cats", "cats-2"),
        ("latest", "digits-10"),
    ],
)
def test_a_run_is_found_by_id_prefix_and_latest(
    runs_dir: Path, reference: str, run_id: str
) -> None:
    assert find_run(reference, runs_dir).run_id == run_id


def test_a_run_is_found_by_path(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = make_run(tmp_path / "elsewhere" / "birds")
    assert find_run(str(elsewhere.path), runs_dir) == elsewhere
    assert find_run(f"{elsewhere.path}/", runs_dir) == elsewhere
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find_run("birds", runs_dir) == elsewhere
    assert find_run("./birds", runs_dir) == elsewhere
    monkeypatch.chdir(elsewhere.path)
    assert find_run(".", runs_dir) == elsewhere
    (elsewhere.path / "checkpoints").mkdir()
    monkeypatch.chdir(elsewhere.path / "checkpoints")
    assert find_run("..", runs_dir) == elsewhere


def test_an_id_in_the_runs_directory_goes_before_a_folder_here(
    runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "cats-2")
    monkeypatch.chdir(tmp_path)
    assert find_run("cats-2", runs_dir).path == runs_dir / "cats-2"


def test_an_ambiguous_start_lists_the_runs(runs_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run("digits", runs_dir)
    assert "2 runs start with 'digits'" in caught.value.what
    assert "digits-10, digits-1" in caught.value.remedy


def test_a_misspelt_run_gets_the_nearest(runs_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run("digts-10", runs_dir)
    assert "did you mean digits-10" in caught.value.remedy


@pytest.mark.parametrize(
    "reference",
    ["", "zzz", "empty", ".jobs", "a\0b", "a" * 5_000, "~no-such-user", "\x1b[2J", "../runs"],
)
def test_what_names_no_run_is_refused_in_words(runs_dir: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="there is no run") as caught:
        find_run(reference, runs_dir)
    assert all(line.isprintable() for line in caught.value.lines())


def test_nothing_never_means_the_only_run(tmp_path: Path) -> None:
    make_run(tmp_path / "only")
    with pytest.raises(UsageError, match="there is no run"):
        find_run("", tmp_path)


@given(st.text(max_size=80))
def test_a_new_run_id_is_safe_everywhere(name: str) -> None:
    run_id = new_run_id(name, now=1_800_000_000.0)
    assert RUN_ID_PATTERN.fullmatch(run_id)
    assert "--2027" not in run_id


def test_new_run_ids_differ_and_sort_by_time() -> None:
    assert len({new_run_id("digits", now=0.0) for _ in range(20)}) > 1
    assert new_run_id("digits", now=0.0) < new_run_id("digits", now=86_400.0 * 400)
    assert new_run_id("---").startswith("run-")


def test_the_runs_directory_is_flag_then_variable_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECOTUI_RUNS_DIR", raising=False)
    assert choose_runs_dir(None) == tmp_path / "runs"
    monkeypatch.setenv("ECOTUI_RUNS_DIR", "/from/variable")
    assert choose_runs_dir(None) == Path("/from/variable")
    assert choose_runs_dir("from/flag/..") == tmp_path / "from"
    monkeypatch.setenv("HOME", "/home/someone")
    assert choose_runs_dir("~/runs") == Path("/home/someone/runs")
    assert choose_runs_dir("~no-such-user/runs") == tmp_path / "~no-such-user" / "runs"


def test_every_file_of_a_run_lies_in_it_under_its_own_name() -> None:
    run = RunDir(Path("/runs/digits-1"))
    names = [name for name, kind in vars(RunDir).items() if isinstance(kind, property)]
    files = {getattr(run, name) for name in names if name != "run_id"}
    assert len(files) == len(names) - 1
    assert all(file.parent == run.path for file in files)


def test_the_shipped_configs_are_found_in_a_clone() -> None:
    assert set(shipped_configs()) >= {"digits", "smoke", "trashnet", "waste30"}


def test_the_shipped_configs_of_a_wheel_lie_beside_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ecotui"
    (package / "configs").mkdir(parents=True)
    (package / "configs" / "only.toml").write_text("")
    monkeypatch.setattr(paths, "__file__", str(package / "paths.py"))
    assert shipped_configs() == {"only": package / "configs" / "only.toml"}
    (package / "configs" / "only.toml").unlink()
    (package / "configs").rmdir()
    assert shipped_configs() == {}


def test_latest_where_nothing_was_trained_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run("latest", tmp_path)
    assert "there are no runs" in caught.value.what
    assert "--runs-dir" in caught.value.remedy

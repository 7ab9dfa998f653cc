from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui import storage
from ecotui.config_file import LoadedConfig, parse_file
from ecotui.errors import EcoError, UsageError
from ecotui.jobs import JOB_ADAPTER, DescribeJob, PreflightJob, TrainJob
from ecotui.paths import RUN_ID_PATTERN, RunDir, list_runs

HOLDING = """
import sys, time
from pathlib import Path
from ecotui import lock
held = lock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""

Recorded = Callable[[str], RunDir]


def test_a_new_run_holds_its_request_and_its_job(loaded: LoadedConfig, tmp_path: Path) -> None:
    run = storage.create_run(loaded, tmp_path / "deep" / "runs")
    assert parse_file(run.config) == loaded.config
    assert JOB_ADAPTER.validate_json(run.job.read_bytes()) == TrainJob()
    assert RUN_ID_PATTERN.fullmatch(run.run_id)
    assert list_runs(tmp_path / "deep" / "runs") == [run]


def test_a_job_is_no_run_of_the_list(tmp_path: Path) -> None:
    job = DescribeJob(data_root="/photos")
    made = storage.create_job(job, tmp_path)
    assert made.path.parent == tmp_path / ".jobs"
    assert JOB_ADAPTER.validate_json(made.job.read_bytes()) == job
    assert list_runs(tmp_path) == []
    storage.remove(made)
    assert list(tmp_path.iterdir()) == []


def test_of_preflights_the_newest_are_kept_and_those_under_way(
    loaded: LoadedConfig, tmp_path: Path
) -> None:
    made = [storage.create_preflight(loaded, tmp_path) for _ in range(5)]
    for age, run in enumerate(made):
        os.utime(run.config, (1_000 - age, 1_000 - age))
    assert {run.path.parent for run in made} == {tmp_path / "preflight"}
    assert JOB_ADAPTER.validate_json(made[0].job.read_bytes()) == PreflightJob()
    assert list_runs(tmp_path) == []
    (tmp_path / "preflight" / "of somebody else").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(made[3].lock)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        storage.keep_newest_preflights(tmp_path, 2)
        other.kill()
    left = {run.run_id for run in list_runs(tmp_path / "preflight")}
    assert left == {made[0].run_id, made[1].run_id, made[3].run_id}
    assert (tmp_path / "preflight" / "of somebody else").is_dir()


def test_a_place_that_cannot_be_written_is_told_and_left_as_it_was(
    loaded: LoadedConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        storage.create_run(loaded, tmp_path / "file" / "runs")
    assert len(caught.value.lines()) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["file"]


def test_a_half_made_run_is_taken_back(
    loaded: LoadedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        storage.create_run(loaded, tmp_path / "a" / "runs")
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_runs_directory_is_told(loaded: LoadedConfig, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written"):
        storage.create_run(loaded, tmp_path / "runs")
    tmp_path.chmod(0o700)


def test_deleting_removes_links_and_not_what_they_point_to(
    recorded: Recorded, tmp_path: Path
) -> None:
    run = recorded("clean_run")
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "cat.jpg").write_text("meow")
    (run.path / "link").symlink_to(precious)
    storage.delete_run(run)
    assert not run.path.exists()
    assert list(run.path.parent.iterdir()) == []
    assert (precious / "cat.jpg").read_text() == "meow"


def test_what_is_no_run_is_not_deleted(recorded: Recorded, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.toml").write_text("mine")
    with pytest.raises(UsageError, match="not a run directory"):
        storage.delete_run(RunDir(project))
    link = tmp_path / "link"
    link.symlink_to(recorded("clean_run").path)
    with pytest.raises(UsageError, match="not a run directory"):
        storage.delete_run(RunDir(link))
    assert (project / "config.toml").exists()
    assert link.exists()


def test_a_living_run_is_not_deleted(stand_in: Callable[..., object]) -> None:
    from ecotui.events import StepsTaken
    from ecotui.session import Session

    engine = stand_in("trains")
    assert isinstance(engine, Session)
    while not any(isinstance(event, StepsTaken) for _, event in engine.read()):
        assert not engine.ended
    with pytest.raises(UsageError, match=r"still running \(pid \d+ on "):
        storage.delete_run(engine.run)
    assert engine.run.path.is_dir()


def test_a_removal_that_fails_is_told(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(EcoError, match="cannot be removed"):
        storage.delete_run(recorded("clean_run"))


def checkpoints_of(run: RunDir, *names: str) -> list[Path]:
    folders = [run.checkpoints / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    return folders


def ended_run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.job.write_text('{"kind": "train"}')
    return run


def test_one_checkpoint_is_removed_and_the_others_stay(tmp_path: Path) -> None:
    run = ended_run(tmp_path)
    first, second = checkpoints_of(run, "step-0000000024-00000000", "step-0000000048-00000000")
    storage.delete_checkpoint(run, f"checkpoints/{second.name}")
    assert list(run.checkpoints.iterdir()) == [first]
    with pytest.raises(EcoError, match="cannot be removed"):
        storage.delete_checkpoint(run, f"checkpoints/{second.name}")


@pytest.mark.parametrize(
    "path",
    [
        "checkpoints/best_model_epoch2_acc72.50",
        "checkpoints/step-1/../best_model_epoch2_acc72.50",
        "step-1",
        "evaluations/step-1",
        "../run/checkpoints/step-1",
        "/checkpoints/step-1",
        "checkpoints/",
        "",
    ],
)
def test_what_is_no_checkpoint_to_go_on_from_is_not_removed(path: str, tmp_path: Path) -> None:
    run = ended_run(tmp_path)
    checkpoints_of(run, "best_model_epoch2_acc72.50", "step-1")
    with pytest.raises(UsageError, match="no checkpoint that can be removed"):
        storage.delete_checkpoint(run, path)
    assert len(list(run.checkpoints.iterdir())) == 2


def test_a_link_among_the_checkpoints_is_not_removed(tmp_path: Path) -> None:
    run = ended_run(tmp_path)
    (folder,) = checkpoints_of(run, "step-1")
    (run.checkpoints / "step-2").symlink_to(folder)
    with pytest.raises(UsageError, match="no checkpoint"):
        storage.delete_checkpoint(run, "checkpoints/step-2")
    assert folder.is_dir()


def test_no_checkpoint_of_a_living_run_is_removed(stand_in: Callable[..., object]) -> None:
    from ecotui.events import StepsTaken
    from ecotui.session import Session

    engine = stand_in("trains")
    assert isinstance(engine, Session)
    while not any(isinstance(event, StepsTaken) for _, event in engine.read()):
        assert not engine.ended
    (folder,) = checkpoints_of(engine.run, "step-1")
    with pytest.raises(UsageError, match="still running"):
        storage.delete_checkpoint(engine.run, "checkpoints/step-1")
    assert folder.is_dir()

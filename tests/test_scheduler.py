"""A job is queued again on request only, and only where it was cut off."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ecotui import session
from ecotui.cli import main
from ecotui.endings import EngineLost, RunFinished, RunStopped
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.scheduler import is_worth_requeuing, job_id, requeue

TESTS = Path(__file__).parent


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a scontrol on the PATH that writes down how it was called."""
    folder, calls = tmp_path / "bin", tmp_path / "calls.jsonl"
    folder.mkdir()
    script = folder / "scontrol"
    script.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + chr(10))\n"
        "sys.exit('no such job' if sys.argv[2] == '404' else 0)\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "1234_5")
    return calls


def stopped(reason: str, checkpoint: str | None = "checkpoints/step-1") -> RunStopped:
    return RunStopped(reason=reason, epoch=1, step=1, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "reason", ["time_limit", "SIGTERM", "received SIGUSR1", "received SIGTERM"]
)
def test_what_a_scheduler_cut_off_is_worth_it(reason: str) -> None:
    assert is_worth_requeuing(stopped(reason))
    assert not is_worth_requeuing(stopped(reason, checkpoint=None))


@pytest.mark.parametrize(
    "ending",
    [
        stopped("ecotui stop"),
        stopped("SIGINT"),
        stopped("key s"),
        EngineLost(last_words=(), checkpoint="checkpoints/step-1"),
        RunFinished(
            why="epochs", epochs_done=1, epochs_planned=1, step=1, best_checkpoint=None, seconds=1
        ),
        None,
    ],
)
def test_what_a_person_stopped_or_what_ended_is_not(ending: object) -> None:
    assert not is_worth_requeuing(ending)


def test_the_job_is_named_by_slurm_and_by_nothing_else() -> None:
    assert job_id({"SLURM_JOB_ID": "77"}) == "77"
    for told in ("", "77; reboot", "--all", "$(id)"):
        with pytest.raises(UsageError):
            job_id({"SLURM_JOB_ID": told})
    with pytest.raises(UsageError):
        job_id({})


def test_a_refusal_is_told(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "queued again" in requeue("7")
    with pytest.raises(EcoError, match="no such job"):
        requeue("404")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EcoError, match="scontrol"):
        requeue("7")


@pytest.mark.parametrize(
    ("how", "flags", "calls"),
    [
        ("runs out of time", ("--requeue",), [["requeue", "1234_5"]]),
        ("runs out of time", (), []),
        ("finishes", ("--requeue",), []),
        ("fails", ("--requeue",), []),
    ],
)
def test_a_job_is_queued_again_only_where_asked_for_and_cut_off(
    how: str,
    flags: tuple[str, ...],
    calls: list[list[str]],
    scontrol: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tiny.toml").write_text('[data]\nroot = "photos"\n')
    monkeypatch.chdir(tmp_path)
    argv = (sys.executable, str(TESTS / "stand_in_engine.py"), how)
    monkeypatch.setattr(session, "ENGINE_ARGV", argv)
    codes = {"runs out of time": ExitCode.RESUMABLE, "finishes": 0, "fails": ExitCode.ERROR}
    with pytest.raises(SystemExit) as caught:
        main(["resume", "--if-exists", "tiny.toml", *flags])
    assert caught.value.code == codes[how]
    asked = scontrol.read_text().splitlines() if scontrol.exists() else []
    assert [json.loads(line) for line in asked] == calls

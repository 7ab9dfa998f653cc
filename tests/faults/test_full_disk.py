"""A disk that is full, broken or read-only costs no checkpoint and does not end the run."""

from __future__ import annotations

import errno
import fcntl as system_fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotui import disk, durable
from ecotui.engine import checkpoint, saving
from ecotui.engine.checkpoint import commit, list_steps, step_name, verify
from ecotui.errors import EcoError, ExitCode
from ecotui.events import (
    CheckpointSaved,
    LogWritten,
    SavingFailed,
    SavingRestored,
)
from ecotui.stream import EventWriter
from tests.engine.harness import of
from tests.engine.test_saving import Bench
from tests.faults.broken_disk import failing, full

FILES: dict[str, Any] = {"model.safetensors": [b"weights" * 100], "loop.json": b"{}"}
ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
CALLS = ("mkdir", "open", "write", "fsync", "close", "rename")
MAX_CALLS = 60
HERE = Path(__file__).parent


class StoppedError(BaseException):
    """Stands for a wish to stop."""


def attempt(folder: Path) -> int | None:
    """Commit, and return what the system said where it failed."""
    try:
        commit(folder, step_name(folder, 2), FILES, {})
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", ERRNOS, ids=errno.errorcode.get)
def test_at_every_call_that_fails_the_old_stands_and_nothing_is_left(
    tmp_path: Path, call: str, code: int
) -> None:
    old = commit(tmp_path, step_name(tmp_path, 1), FILES, {"step": 1}).path
    num_failures = 0
    for number in range(1, MAX_CALLS):
        with failing(call, number, code) as came:
            said = attempt(tmp_path)
        if said is None and len(came) < number:
            break
        if said is None:  # the last close of the folder, which nothing was written through
            assert call == "close"
            checkpoint.drop(list_steps(tmp_path)[0])
            continue
        num_failures += 1
        assert said == code
        assert list(tmp_path.iterdir()) == [old]
        assert verify(old) == {"step": 1}
    assert num_failures >= 1
    assert len(list_steps(tmp_path)) == 2


def test_a_descriptor_whose_flush_failed_is_never_flushed_again(tmp_path: Path) -> None:
    asked: list[int] = []
    real_sync, real_close = os.fsync, os.close

    def sync(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) == 1:
            raise OSError(errno.EIO, "Input/output error")
        real_sync(descriptor)

    closed: list[int] = []

    def close(descriptor: int) -> None:
        if asked and not closed:
            closed.append(descriptor)
            assert asked == [descriptor]
        real_close(descriptor)

    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", sync)
    patch.setattr(os, "close", close)
    try:
        with pytest.raises(OSError, match="Input/output"):
            commit(tmp_path, step_name(tmp_path, 1), FILES, {})
    finally:
        patch.undo()
    assert closed == asked
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EROFS, "x"), True),
        (OSError(errno.ENOENT, "No space left on device"), False),
        (
            RuntimeError("[enforce fail at inline_container.cc:668] . unexpected pos 704 vs 598"),
            True,
        ),
        (RuntimeError("PytorchStreamWriter failed writing file: No space left on device"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("no space left on device"), False),
    ],
)
def test_what_means_a_full_disk_is_known_though_it_has_no_number(
    error: Exception, is_fault: bool
) -> None:
    assert disk.is_storage_fault(error) is is_fault


def test_on_macos_the_drive_is_asked_too_and_fsync_only_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    refusal: list[OSError] = []

    def fcntl(descriptor: int, command: int) -> int:
        asked.append(f"fcntl {command}")
        if refusal:
            raise refusal[0]
        return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(system_fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(system_fcntl, "fcntl", fcntl)
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append("fsync"))
    durable.sync_file(0)
    assert asked == ["fcntl 51"]
    refusal.append(OSError(errno.ENOTSUP, "not here"))
    durable.sync_file(0)
    assert asked == ["fcntl 51", "fcntl 51", "fsync"]
    refusal[0] = OSError(errno.EIO, "broken")
    with pytest.raises(OSError, match="broken"):
        durable.sync_file(0)
    assert asked.count("fsync") == 1


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_fault_that_passes_is_answered_by_one_clean_rewrite(
    tmp_path: Path, background: bool, call: str
) -> None:
    bench = Bench(tmp_path / "run", background=background)
    bench.step()
    bench.saver.finish()
    with failing(call, 2 if call == "fsync" else 1, errno.EIO) as came:
        bench.saver.save(bench.loop, "request")
        bench.saver.finish()
    assert len(came) > 1
    (saved,) = of(CheckpointSaved, bench.events)
    assert verify(bench.path / saved.path)["step"] == 1
    assert of(SavingFailed, bench.events) == []


@pytest.mark.parametrize("background", [True, False])
def test_where_nothing_can_be_saved_it_says_so_waits_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(saving, "POLL_SECONDS", 0.001)
    bench = Bench(tmp_path / "run", background=background)
    bench.step()
    bench.saver.finish()
    first = bench.saver.save(bench.loop, "end")
    assert first is not None
    bench.step()
    wanted = bench.network.weight.detach().clone()
    polls: list[int] = []
    with full(bench.folder):
        bench.saver.save(bench.loop, "epoch")
        bench.saver.finish()

        def poll() -> None:
            polls.append(1)
            if len(polls) == 40:
                raise StoppedError

        with pytest.raises(StoppedError):
            bench.saver.attend(poll)
        assert [verify(path)["step"] for path in list_steps(bench.folder)] == [1]
        assert {entry.name for entry in bench.folder.iterdir()} <= {Path(first).name, "latest"}
    bench.saver.attend(lambda: None)
    (failed,) = of(SavingFailed, bench.events)
    assert (failed.step, failed.waits, failed.last_checkpoint) == (2, True, first)
    assert "No space left" in failed.what
    assert "free" in failed.remedy
    assert [told.step for told in of(SavingRestored, bench.events)] == [2]
    saved = of(CheckpointSaved, bench.events)[-1]
    assert (saved.step, saved.reason) == (2, "epoch")
    assert torch.equal(bench.weights(saved.path), wanted)


def test_a_save_refused_while_an_older_one_waits_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.01)
    bench = Bench(tmp_path / "run")
    bench.step()
    bench.saver.finish()
    with full(bench.path):
        bench.saver.save(bench.loop, "request")
        bench.saver.finish()
        bench.step_without_attending()
        bench.plan_best(monkeypatch)
        assert bench.saver.save(bench.loop, "epoch") is None
    bench.saver.attend(lambda: None)
    bench.saver.finish()
    told = [
        (event.kind, getattr(event, "step", None))
        for event in bench.events
        if event.kind in {"saving_failed", "checkpoint_saved", "best_checkpoint_changed"}
    ]
    assert told == [
        ("saving_failed", 1),
        ("checkpoint_saved", 1),
        ("best_checkpoint_changed", 2),
        ("checkpoint_saved", 2),
    ]


@pytest.mark.parametrize("has_one", [True, False])
def test_a_stop_while_nothing_can_be_saved_ends_in_three_lines(
    tmp_path: Path, has_one: bool
) -> None:
    bench = Bench(tmp_path / "run")
    bench.step()
    first = bench.saver.save(bench.loop, "end") if has_one else None
    with full(bench.path), pytest.raises(EcoError) as caught:
        bench.saver.save(bench.loop, "stop")
    error = caught.value
    assert error.exit_code == ExitCode.ERROR
    assert "No space left" in error.what
    assert (first or "no checkpoint stands") in error.expected
    assert "ecotui resume run" in error.remedy
    assert [bench.path / first] == list_steps(bench.folder) if first else True


def test_too_little_room_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "run", background=False)
    bench.step()
    monkeypatch.setattr(disk, "free_bytes", lambda path: 1_000_000)
    monkeypatch.setattr(checkpoint, "commit_in_steps", None)
    assert bench.saver.save(bench.loop, "epoch") is None
    (failed,) = of(SavingFailed, bench.events)
    assert "only 1.0 MB are free" in failed.what


def test_a_disk_without_room_for_anything_does_not_end_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path, ballast_path=tmp_path / ".ballast")
    with full(tmp_path):
        for number in range(100):
            writer(LogWritten(severity="note", message=str(number)))
        writer.sync()
    writer(LogWritten(severity="note", message="100"))
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message"] for line in told] == [str(number) for number in range(101)]
    assert [line["seq"] for line in told] == list(range(1, 102))


def in_own_namespace() -> list[str] | None:
    """Return a command that may mount, or None where the system does not allow it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    for argv in ([unshare, "-Urm"], [unshare, "-m"]):
        probe = [*argv, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return argv
    return None


def test_on_a_small_disk_filled_at_any_point_the_old_checkpoint_stands(tmp_path: Path) -> None:
    argv = in_own_namespace()
    if argv is None:
        pytest.skip("this system lets nobody mount a disk of their own: nothing was tried")
    place = tmp_path / "disk"
    place.mkdir()
    ran = subprocess.run(
        [*argv, sys.executable, str(HERE / "on_small_disk.py"), str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    for fraction in ("0.0", "0.5", "0.95"):
        case = found[fraction]
        assert case["said"] == "ENOSPC", fraction
        assert case["left"] == [case["old"]]
        assert case["is_sound"]
    assert found["read_only"]["said"] == "EROFS"
    assert found["read_only"]["left"] == [found["read_only"]["old"]]
    assert found["read_only"]["is_sound"]
    # The control: written over in place, the file is neither the old nor the new one.
    assert not found["in_place_survives"]

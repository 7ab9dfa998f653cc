"""The command, the engine and its readers together, as a person meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ecotui import lock
from ecotui.errors import ExitCode
from ecotui.paths import RunDir, list_runs

DRIVE = Path(__file__).parent / "drive_cli.py"
WAIT_SECONDS = 60.0
ENDLESS = ("--set", "train.epochs=100000", "--set", "preflight.level=off")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with photos and a config that trains for as long as it is told."""
    for shade, name in enumerate(("glass", "metal", "paper")):
        folder = tmp_path / "photos" / name / "default"
        folder.mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (20, 16), (90 * shade, 20 * number, 0)).save(folder / f"{number}.png")
    (tmp_path / "tiny.toml").write_text(
        '[data]\nroot = "photos"\nimage_size = 32\n'
        '[model]\nname = "test_resnet"\npretrained = false\n'
        "[train]\nepochs = 2\nbatch_size = 4\n"
        "[compute]\nthreads = 1\nworkers = 0\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ecotui(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ecotui", *arguments]


def output_of(*arguments: str, code: int = 0, warm: str = "") -> str:
    """Run the command and return what it prints; `warm` has its engine forked."""
    argv = [sys.executable, str(DRIVE), warm, *arguments] if warm else ecotui(*arguments)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def summary_of(printed: str) -> str:
    """Everything from the end of the training on: what all readers have in common."""
    return printed[printed.index("training completed") :]


@pytest.fixture
def endless(place: Path, warm_engines: str) -> Iterator[RunDir]:
    """A detached run that goes on until it is stopped."""
    output_of("--headless", "tiny.toml", "--detach", *ENDLESS, warm=warm_engines)
    (run,) = list_runs(place / "runs")
    wait_for(run, b'"checkpoint_saved"')
    yield run
    holder = lock.read_holder(run.lock)
    if holder is not None and lock.is_held(run.lock):
        os.kill(holder.pid, signal.SIGKILL)


def wait_for(run: RunDir, text: bytes) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if text in run.events.read_bytes():
            return
        time.sleep(0.05)
    raise AssertionError(f"{text!r} never came")


def test_all_readers_tell_the_same_and_the_best_model_can_be_exported(place: Path) -> None:
    printed = output_of("--headless", "tiny.toml")
    assert "transform validation passed" in printed
    assert "best validation accuracy" in printed
    (run,) = list_runs(place / "runs")
    assert summary_of(output_of("attach", "latest", "--headless")) == summary_of(printed)
    events = output_of("attach", "latest", "--headless", "--json")
    assert events.encode() == run.events.read_bytes()
    assert all(
        json.loads(line)["seq"] == count + 1 for count, line in enumerate(events.splitlines())
    )
    listed = json.loads(output_of("runs", "--json"))
    assert [row["state"] for row in listed] == ["finished"]
    output_of("export", "latest", "--format", "pth")
    (exported,) = run.exports.iterdir()
    assert exported.suffix == ".pth"
    # A short job leaves no directory behind, and is no run.
    assert [entry.name for entry in (place / "runs").iterdir()] == [run.run_id]
    output_of("delete", run.run_id, "--yes")
    assert list_runs(place / "runs") == []


def test_two_readers_see_the_same_run_and_a_stop_ends_both(endless: RunDir) -> None:
    readers = [
        subprocess.Popen(
            ecotui("attach", endless.run_id, "--headless", "--json"), stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    output_of("stop", endless.run_id)
    seen = [reader.communicate(timeout=WAIT_SECONDS)[0] for reader in readers]
    assert seen[0] == seen[1] == endless.events.read_bytes()
    assert [reader.returncode for reader in readers] == [ExitCode.RESUMABLE] * 2
    last = json.loads(seen[0].splitlines()[-1])
    assert last["kind"] == "run_stopped"
    assert (endless.path / last["checkpoint"] / "MANIFEST.json").is_file()


def test_a_stopped_run_is_resumed_and_ends_with_the_bits_of_an_undisturbed_one(
    place: Path, warm_engines: str
) -> None:
    """The undisturbed one goes without preflight, which is to change no bit either."""
    epochs = ("--set", "train.epochs=15")
    unchecked = ("--set", "preflight.level=off")
    output_of("--headless", "tiny.toml", *epochs, *unchecked, "-q", warm=warm_engines)
    (whole,) = list_runs(place / "runs")
    output_of("--headless", "tiny.toml", *epochs, "--detach")
    (run,) = [found for found in list_runs(place / "runs") if found.run_id != whole.run_id]
    wait_for(run, b'"checkpoint_saved"')
    output_of("stop", run.run_id)
    stopped = json.loads(run.events.read_bytes().splitlines()[-1])
    assert (stopped["kind"], stopped["step"] > 0) == ("run_stopped", True)

    printed = output_of("resume", run.run_id, "--headless")
    assert f"resumed from step {stopped['step']} (attempt 2" in printed
    assert "bit-exact" in printed
    assert "all 15 epochs" in printed
    # What the first attempt said is not said again.
    assert printed.count("epoch 1/15") == 0
    assert weights_of(run) == weights_of(whole)
    sequence = [json.loads(line)["seq"] for line in run.events.read_bytes().splitlines()]
    assert sequence == list(range(1, len(sequence) + 1))
    assert "has finished" in error_of("resume", run.run_id, "--headless")


def weights_of(run: RunDir) -> bytes:
    newest = max(path for path in run.checkpoints.iterdir() if path.name.startswith("step-"))
    return (newest / "model.safetensors").read_bytes()


def error_of(*arguments: str) -> str:
    done = subprocess.run(
        ecotui(*arguments), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert done.returncode == ExitCode.USAGE
    return done.stderr


def test_a_killed_engine_is_told_with_the_last_committed_checkpoint(place: Path) -> None:
    printer = subprocess.Popen(
        ecotui("--headless", "tiny.toml", *ENDLESS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while not list_runs(place / "runs") or not list_runs(place / "runs")[0].events.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (run,) = list_runs(place / "runs")
    wait_for(run, b'"checkpoint_saved"')
    holder = lock.read_holder(run.lock)
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    out, err = printer.communicate(timeout=WAIT_SECONDS)
    assert printer.returncode == ExitCode.ERROR
    told = out + err
    assert "signal 9 (SIGKILL)" in told
    saved = [json.loads(line) for line in run.events.read_bytes().splitlines()]
    last = [event["path"] for event in saved if event["kind"] == "checkpoint_saved"][-1]
    assert last in told
    assert "Traceback" not in told
    assert last in output_of("attach", "latest", "--headless", code=ExitCode.ERROR)


def test_a_config_for_a_folder_of_photos_is_written_and_valid(place: Path) -> None:
    output_of("config", "init", "--data", "photos", "--output", "mine.toml")
    written = (place / "mine.toml").read_text()
    assert "glass" in written
    assert "valid" in output_of("config", "validate", "mine.toml")
    assert not (place / "runs" / ".jobs").exists()

"""The engine as a process: its signals, its lock, its owner, its death."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecotui import lock
from ecotui.commands import StopRun, append_command
from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.engine import checkpoint
from ecotui.errors import ExitCode
from ecotui.events import AnyEvent, FirstStepTaken
from ecotui.jobs import TrainJob
from ecotui.paths import RunDir
from ecotui.stream import Tail

Start = Callable[..., "subprocess.Popen[bytes]"]

WAIT_SECONDS = 60.0


@pytest.fixture
def run(tmp_path: Path, photo_folder: Path) -> RunDir:
    """A run of many short epochs, so that it does not end by itself within the test."""
    made = RunDir(tmp_path / "run")
    made.path.mkdir()
    table = {
        "data": {"root": str(photo_folder), "image_size": 32},
        "model": {"name": "test_resnet", "pretrained": False},
        "train": {"epochs": 100_000, "batch_size": 4},
        "compute": {"workers": 1, "threads": 1},
        "preflight": {"level": "off"},
    }
    made.config.write_text(to_toml(RunConfig.model_validate(table)))
    made.job.write_text(TrainJob().model_dump_json())
    return made


@pytest.fixture
def start(run: RunDir) -> Iterator[Start]:
    children: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        with run.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "ecotui.engine", str(run.path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.wait()


def wait_for(run: RunDir, kind: str) -> list[AnyEvent]:
    """Read the log until an event of a kind is there."""
    tail, seen = Tail(run.events), []
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        seen += [event for _, event in tail.read()]
        if any(event.kind == kind for event in seen):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"no {kind} in {[event.kind for event in seen]}\n{run.log.read_text()}")


def test_a_signal_saves_and_stops_and_a_hang_up_is_nothing(run: RunDir, start: Start) -> None:
    asked_at = time.time()
    engine = start("--asked-at", repr(asked_at))
    (first,) = [
        each for each in wait_for(run, "first_step_taken") if isinstance(each, FirstStepTaken)
    ]
    assert first.parts[0].name == "starting the engine"
    assert {"setting up", "the first batch"} <= {part.name for part in first.parts}
    assert all(part.seconds >= 0.0 for part in first.parts)
    assert first.seconds == pytest.approx(first.at - asked_at, abs=0.5)
    assert first.seconds == pytest.approx(sum(part.seconds for part in first.parts))
    holder = lock.read_holder(run.lock)
    assert holder is not None
    assert holder.pid == engine.pid
    assert json.loads(run.lock.read_text()).keys() == {"pid", "host", "started_at"}
    assert lock.is_held(run.lock)
    second = start()
    assert second.wait(WAIT_SECONDS) == ExitCode.ERROR
    refusal = rf"another engine works here: process {engine.pid} on {socket.gethostname()}, for \d+"
    assert re.search(refusal, run.log.read_text())
    engine.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert engine.poll() is None
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(WAIT_SECONDS) == ExitCode.RESUMABLE
    assert not lock.is_held(run.lock)
    events = wait_for(run, "run_stopped")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    last = events[-1]
    assert last.kind == "run_stopped"
    assert last.reason == "received SIGTERM"
    assert last.checkpoint is not None
    assert checkpoint.verify(run.path / last.checkpoint)["step"] == last.step


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_a_signal_on_top_of_a_stop_leaves_at_once(
    run: RunDir, start: Start, number: signal.Signals, code: ExitCode
) -> None:
    engine = start()
    wait_for(run, "engine_started")
    # While the libraries load nothing listens to commands: the request only lies there.
    append_command(run.commands, StopRun())
    engine.send_signal(number)
    assert engine.wait(WAIT_SECONDS) == code
    assert not lock.is_held(run.lock)


def test_the_death_of_the_owner_saves_and_stops(run: RunDir, start: Start, tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-m', 'ecotui.engine', sys.argv[1], '--owner-pid', "
        "str(os.getpid())], start_new_session=True)\n"
        "import time; time.sleep(600)\n"
    )
    with run.log.open("ab") as log:
        owner = subprocess.Popen(
            [sys.executable, "-c", script, str(run.path)], stdout=log, stderr=log
        )
    try:
        wait_for(run, "steps_taken")
    finally:
        owner.kill()
        owner.wait()
    events = wait_for(run, "run_stopped")
    assert events[-1].kind == "run_stopped"
    assert "has died" in events[-1].reason


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_killing_the_engine_takes_its_workers_and_frees_the_lock(run: RunDir, start: Start) -> None:
    engine = start()
    wait_for(run, "checkpoint_saved")
    workers = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(entry) == engine.pid
    ]
    assert workers
    engine.kill()
    engine.wait()
    deadline = time.monotonic() + WAIT_SECONDS
    while any(_is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not lock.is_held(run.lock)
    assert checkpoint.list_steps(run.checkpoints)
    assert all(checkpoint.verify(path) for path in checkpoint.list_steps(run.checkpoints))


def test_an_installation_without_torch_is_an_environment_fault(run: RunDir, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "timm"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    child = subprocess.run(
        [sys.executable, "-m", "ecotui.engine", str(run.path)],
        env={**os.environ, "PYTHONPATH": f"{broken.parent}:{Path.cwd()}"},
        capture_output=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    assert child.returncode == ExitCode.ENVIRONMENT
    failed = wait_for(run, "run_failed")[-1]
    assert failed.kind == "run_failed"
    assert "torchvision::nms" in failed.what
    assert failed.discard


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return -1


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

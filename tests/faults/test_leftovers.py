"""Two seconds after the engine died, however it died, no process of ours is left."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.config_file import to_toml
from ecotui.engine import __main__ as door
from ecotui.engine.data import supply, workers
from ecotui.engine.data.transforms import Transforms
from ecotui.engine.probing import Probe, Wish
from ecotui.errors import ExitCode
from ecotui.paths import RunDir
from tests.engine.conftest import answering, photo_folder, write_photo  # noqa: F401
from tests.engine.conftest import harness as harness_of_the_engine
from tests.engine.harness import Harness
from tests.faults.loading import (
    DECODE,
    Watched,
    at_file,
    make_photos,
    make_transforms,
    read_index,
    train_loader,
    worker_pids,
    zombies,
)

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
harness = harness_of_the_engine
_PR_SET_CHILD_SUBREAPER = 36
SECONDS = 2.0
WAIT_SECONDS = 60.0
STATES = ("starting", "decoding", "idle", "stuck", "stopped")
PACE_SECONDS = {"decoding": 0.05, "stuck": 1e6, "stopped": 0.05}


def of_session(session: int) -> list[int]:
    """Return the living processes of a session; a zombie is none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def workers_of(session: int) -> list[int]:
    return [pid for pid in of_session(session) if pid != session]


def asked_to_die_with_its_parent(worker: int) -> bool:
    """Whether a worker has done what it does right after; before, stopped ones cannot ask."""
    return int(Path(f"/proc/{worker}/oom_score_adj").read_text()) == workers._FIRST_TO_GO


def in_a_session(work: Callable[..., None], *arguments: Any) -> multiprocessing.Process:
    """Start a process that leads a session of its own, and wait until it does."""
    context = multiprocessing.get_context("fork")
    child: Any = context.Process(target=_lead, args=(work, *arguments))
    child.start()
    await_that(lambda: os.getsid(child.pid) == child.pid)
    return child  # type: ignore[no-any-return]


def _lead(work: Callable[..., None], *arguments: Any) -> None:
    os.setsid()
    work(*arguments)


def await_that(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def survivors(leader: multiprocessing.Process) -> list[int]:
    """Kill the leader of a session, and return who is left of it two seconds later."""
    assert leader.pid is not None
    leader.kill()
    leader.join()
    give_up = time.monotonic() + SECONDS
    while (left := of_session(leader.pid)) and time.monotonic() < give_up:
        time.sleep(0.01)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def run_engine(run: RunDir, pace_seconds: float) -> None:
    """Be an engine whose photos take their time."""
    module, name = DECODE
    setattr(module, name, at_file("", lambda: time.sleep(pace_seconds)))
    log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["engine", str(run.path)]
    os._exit(door.main())


def kill_engine_with_workers(harness: Harness, state: str) -> None:
    run = harness.new(train={"epochs": 1000}, compute={"workers": 2}, preflight={"level": "off"})
    engine = in_a_session(run_engine, run, PACE_SECONDS.get(state, 0.0))
    assert engine.pid is not None
    session = engine.pid
    await_that(lambda: len(of_session(session)) >= (2 if state == "starting" else 3))
    if state == "idle":
        await_that(lambda: b"steps_taken" in run.events.read_bytes())
        os.kill(session, signal.SIGSTOP)  # its workers read ahead what they may, and wait
        time.sleep(0.5)
    elif state != "starting":
        time.sleep(random.uniform(0.2, 0.7))
    if state == "stopped":
        await_that(lambda: b"steps_taken" in run.events.read_bytes())
        os.kill(session, signal.SIGSTOP)  # it starts no more of them
        await_that(lambda: all(map(asked_to_die_with_its_parent, workers_of(session))))
        for pid in workers_of(session):
            os.kill(pid, signal.SIGSTOP)
    assert survivors(engine) == []


@pytest.mark.parametrize("state", ["decoding", "stuck", "stopped"])
def test_an_engine_that_is_killed_takes_its_workers_along(harness: Harness, state: str) -> None:
    kill_engine_with_workers(harness, state)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(30))
def test_thirty_engines_that_are_killed_leave_nobody(harness: Harness, trial: int) -> None:
    kill_engine_with_workers(harness, STATES[trial % len(STATES)])


def marked(mark: str) -> list[int]:
    """Return the living processes that were started with a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def _probe_for_ever(mark: str) -> None:
    os.environ[mark] = "1"
    with Probe(Wish(device="cpu", runs_path=Path("/tmp"))) as probe:
        probe.answers(lambda: None)
    time.sleep(WAIT_SECONDS)


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_killed_diagnosis_takes_its_probes_along(num_processes: int) -> None:
    """Killed while it imports, and while behaviours are tried in forked processes."""
    mark = f"ECOTUI_MARK_{os.getpid()}_{num_processes}"
    engine = in_a_session(_probe_for_ever, mark)
    await_that(lambda: len(marked(mark)) >= num_processes)
    assert survivors(engine) == []
    give_up = time.monotonic() + SECONDS
    while (left := marked(mark)) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert left == []


def _train_as_on_a_mac(photos: Path, transforms: Transforms, watches: bool) -> None:
    sys.platform = "darwin"
    vars(supply)["start_method"] = lambda: "fork"
    if not watches:
        workers._leave_with = lambda engine_pid: None
    index = read_index(photos)
    loader = train_loader(index, transforms, 2, Watched(patience_seconds=1e6))
    next(loader.epoch(1))


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*DECODE, at_file("", lambda: time.sleep(1e6)))


@pytest.mark.usefixtures("stuck")
def test_where_the_kernel_does_not_tell_workers_watch_for_the_engine(tmp_path: Path) -> None:
    """The second engine is the control: without that thread its workers stay."""
    photos, transforms = make_photos(tmp_path / "photos", 4), make_transforms()
    engines = [in_a_session(_train_as_on_a_mac, photos, transforms, it) for it in (True, False)]
    for engine in engines:
        session = engine.pid
        assert session is not None
        await_that(lambda session=session: len(of_session(session)) == 3)  # type: ignore[misc]
    time.sleep(0.3)
    assert [len(survivors(engine)) for engine in engines] == [0, 2]


def test_workers_go_first_where_memory_runs_out(harness: Harness) -> None:
    run = harness.new(train={"epochs": 1000}, compute={"workers": 1}, preflight={"level": "off"})
    engine = in_a_session(run_engine, run, 1e6)
    assert engine.pid is not None
    session = engine.pid
    await_that(lambda: len(of_session(session)) == 2)
    worker = max(pid for pid in of_session(session) if pid != session)
    score = Path(f"/proc/{worker}/oom_score_adj")
    own = Path(f"/proc/{session}/oom_score_adj").read_text()
    await_that(lambda: score.read_text() != own)
    assert score.read_text().strip() == "1000"
    assert survivors(engine) == []


@pytest.mark.slow
def test_an_interrupt_in_the_foreground_leaves_no_zombie(harness: Harness, tmp_path: Path) -> None:
    """What the command leaves to be buried comes to this process, as to the init of a container."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    config = tmp_path / "endless.toml"
    table = harness.config(
        train={"epochs": 100_000}, compute={"workers": 2}, preflight={"level": "off"}
    )
    config.write_text(to_toml(table))
    command = [sys.executable, "-m", "ecotui", "--headless", str(config)]
    child = subprocess.Popen(
        [*command, "--runs-dir", str(tmp_path / "runs")], stdout=subprocess.DEVNULL
    )
    try:
        await_that(lambda: bool(list((tmp_path / "runs").glob("*/checkpoints/step-*"))))
        child.send_signal(signal.SIGINT)
        assert child.wait(WAIT_SECONDS) == ExitCode.RESUMABLE
        assert zombies() == []
        assert worker_pids() == []
    finally:
        child.kill()
        child.wait()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

"""An engine that has loaded its libraries before there is a run for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecotui import session, spare_engine, storage
from ecotui.config_file import load_config
from ecotui.events import AnyEvent, EngineStarted, StageStarted
from ecotui.paths import RunDir
from ecotui.session import Session
from ecotui.session_factory import engine_with
from ecotui.spare_engine import SpareEngine

SECONDS = 60.0
SURVIVE = """
import importlib, time
import ecotui.engine.__main__  # it sets what NumPy reads
from ecotui.engine.probing import IMPORTS
from ecotui.engine.survived import Survived
survived, began_at = Survived(), time.time()
for name in IMPORTS:
    importlib.import_module(name)
survived.keep(began_at)
"""


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the machine seem idle, whatever else the tests do on it."""
    monkeypatch.setattr(spare_engine, "_is_busy", lambda: False)


@pytest.fixture
def folder_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that modules may come from."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(folder)]))
    return folder


@pytest.fixture
def survived(folder_on_path: Path) -> Path:
    """Have a child survive this environment, and return a folder on its path."""
    time.sleep(0.05)  # what was made at the very moment of the look is not relied upon
    argv = [*session.ENGINE_ARGV[:-2], "-c", SURVIVE]
    subprocess.run(argv, check=True, timeout=SECONDS)
    return folder_on_path


@pytest.fixture
def spare() -> Iterator[SpareEngine]:
    """Return one that nothing is left of."""
    made = SpareEngine()
    yield made
    made.end()
    for process in made._let_go:
        process.kill()
        process.wait()


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Return a run that goes on until it is stopped."""
    settings = ("train.epochs=1000", "compute.workers=0")
    return storage.create_run(load_config("smoke", settings), tmp_path / "runs")


def begun(spare: SpareEngine) -> subprocess.Popen[bytes]:
    """Have one begin, and wait until it is ready."""
    spare.begin(session.ENGINE_ARGV)
    process = spare._process
    assert process is not None
    assert process.stdout is not None
    file = process.stdout.fileno()
    until(lambda: select.select([file], [], [], 0.0)[0])
    return process


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def read_until(engine: Session, kind: type[AnyEvent]) -> list[AnyEvent]:
    events: list[AnyEvent] = []

    def has_come() -> bool:
        events.extend(event for _, event in engine.read())
        assert not engine.ended, events[-1]
        return any(isinstance(event, kind) for event in events)

    until(has_come)
    return events


def stop(engine: Session, process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(SECONDS)
    assert engine.wait_until_gone()


@pytest.mark.usefixtures("survived")
def test_a_run_is_given_to_the_engine_that_waits(spare: SpareEngine, run: RunDir) -> None:
    process = begun(spare)
    engine = session.launch(run, owned=False, spare=spare)
    events = read_until(engine, StageStarted)
    (started,) = (event for event in events if isinstance(event, EngineStarted))
    assert started.pid == process.pid
    assert "--spare" in Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
    for descriptor, target in ((0, os.devnull), (1, run.log), (2, run.log)):
        assert os.readlink(f"/proc/{process.pid}/fd/{descriptor}") == str(target)
    stop(engine, process)


def test_where_anything_has_changed_it_begins_anew(
    survived: Path, spare: SpareEngine, run: RunDir
) -> None:
    process = begun(spare)
    (survived / "timm.py").write_text("raise RuntimeError")
    engine = session.launch(run, owned=False, spare=spare, settings=("train.epochs=999",))
    events = read_until(engine, EngineStarted)
    (started,) = (event for event in events if isinstance(event, EngineStarted))
    assert started.pid == process.pid
    words = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
    assert "--spare" not in words
    assert words[-3:-1] == ["--set", "train.epochs=999"]
    # torch sets a variable of its own as it is loaded: nothing of that is left.
    told = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    names = {each.partition("=")[0] for each in told if each}
    assert not {each for each in names - {*os.environ} if each.startswith("TORCH")}
    assert names >= {*os.environ}
    stop(engine, process)


@pytest.mark.usefixtures("survived")
def test_it_ends_with_the_app(spare: SpareEngine) -> None:
    process = begun(spare)
    spare.end()
    assert process.wait(SECONDS) == 0


@pytest.mark.usefixtures("survived")
def test_one_that_still_loads_is_not_waited_for(spare: SpareEngine, run: RunDir) -> None:
    spare.begin(session.ENGINE_ARGV)
    process = spare._process
    assert process is not None
    assert spare.take((*session.ENGINE_ARGV, str(run.path)), run.log) is None
    assert process.wait(SECONDS) == 0
    assert not run.events.exists()


def test_nothing_is_loaded_where_no_child_has_survived_it(spare: SpareEngine, run: RunDir) -> None:
    spare.begin(session.ENGINE_ARGV)
    process = spare._process
    assert process is not None
    assert process.wait(SECONDS) == 0
    assert spare.take((*session.ENGINE_ARGV, str(run.path)), run.log) is None


@pytest.mark.usefixtures("survived")
def test_one_that_was_killed_is_no_hindrance(spare: SpareEngine, run: RunDir) -> None:
    process = begun(spare)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not is_there(process.pid))
    engine = session.launch(run, owned=False, spare=spare)
    events = read_until(engine, EngineStarted)
    (started,) = (event for event in events if isinstance(event, EngineStarted))
    assert started.pid != process.pid
    engine.engine_signal(signal.SIGTERM)
    assert engine.wait_until_gone(SECONDS)


def test_none_is_begun_where_the_processors_are_needed(
    monkeypatch: pytest.MonkeyPatch, spare: SpareEngine
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    begun: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: begun.append(0))
    monkeypatch.setattr(os, "getloadavg", lambda: (2.1, 0.0, 0.0))
    spare.begin(session.ENGINE_ARGV)
    assert not begun
    monkeypatch.setattr(os, "getloadavg", lambda: (1.9, 0.0, 0.0))
    spare.begin(session.ENGINE_ARGV)
    assert begun
    spare._process = None


def test_no_stand_in_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ENGINE_ARGV", (sys.executable, "stand_in.py", "trains"))
    monkeypatch.setattr(SpareEngine, "begin", lambda *_: pytest.fail("it was"))
    engine_with().prepare()

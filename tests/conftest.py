"""What many tests share: a place of one's own, recorded logs, and engines that are stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ecotui import session, storage
from ecotui.config import DataConfig, RunConfig
from ecotui.config_file import LoadedConfig
from ecotui.paths import RunDir
from tests.faults.server import ONE_THREAD

TESTS = Path(__file__).parent

# Where all cores are busy, threads of torch that spin while they wait cost ten times what they
# compute. How they wait changes no bit.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shared machine stalls now and then: that is no finding.
settings.register_profile("ecotui", deadline=None)
settings.load_profile("ecotui")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the person's own settings out, and let children import this very package."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    monkeypatch.delenv("ECOTUI_RUNS_DIR", raising=False)
    inherited = os.environ.get("PYTHONPATH")
    own = str(TESTS.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([own, inherited] if inherited else [own]))


@pytest.fixture
def recordings() -> Path:
    return TESTS / "recordings"


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    config = RunConfig(data=DataConfig(root=str(tmp_path / "photos")))
    return LoadedConfig(config, tmp_path / "tiny.toml", "tiny")


@pytest.fixture
def recorded(tmp_path: Path, recordings: Path) -> Callable[[str], RunDir]:
    """Return a run directory that holds a recorded log."""

    def make(name: str) -> RunDir:
        run = RunDir(tmp_path / "runs" / name)
        run.path.mkdir(parents=True)
        run.config.write_text("")
        run.job.write_text('{"kind":"train"}')
        os.utime(run.job, (1, 1))
        run.events.write_bytes((recordings / f"{name}.jsonl").read_bytes())
        return run

    return make


@pytest.fixture(scope="session")
def warm_engines() -> Iterator[str]:
    """Serve engines that need not import anything; gives the `HOW` for `drive_cli.py`."""
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:  # a socket's path is short
        path = f"{folder}/socket"
        # Nobody listens on port 9: nothing is fetched from anywhere.
        environ = {**os.environ, **ONE_THREAD, "HF_ENDPOINT": "http://127.0.0.1:9"}
        with subprocess.Popen(
            [sys.executable, str(TESTS / "warm_engine.py"), "serve", path],
            env=environ | {"XDG_CACHE_HOME": folder, "PYTHONPATH": str(TESTS.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            num_threads = server.stdout.readline().strip()
            assert num_threads == b"1", "a process with threads cannot be forked safely"
            yield f"warm:{path}"
            server.stdin.close()
            assert server.wait(30) == 0


Launch = Callable[..., session.Session]


@pytest.fixture
def stand_in(loaded: LoadedConfig, tmp_path: Path) -> Iterator[Launch]:
    """Launch the stand-in engine that ends in the way named; all are gone after the test."""
    launched: list[session.Session] = []

    def launch(how: str, *, owned: bool = True) -> session.Session:
        run = storage.create_run(loaded, tmp_path / "runs")
        argv = (sys.executable, str(TESTS / "stand_in_engine.py"), how)
        launched.append(session.launch(run, owned=owned, engine_argv=argv))
        return launched[-1]

    yield launch
    for engine in launched:
        engine.engine_signal(9)
        engine.wait_until_gone()

"""What many tests share: a place of one's own, recorded logs, and engines that are stand-ins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ecotui import session, storage
from ecotui.config import DataConfig, RunConfig
from ecotui.config_file import LoadedConfig
from ecotui.paths import RunDir

TESTS = Path(__file__).parent

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

"""The app through the real command on a real terminal, with the stand-in engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecotui.app import EcoApp
from ecotui.app_verbs import farewell
from ecotui.errors import ExitCode
from ecotui.paths import RunDir, list_runs
from ecotui.replay import Replay
from ecotui.session import attach
from tests.terminal import SECONDS, Terminal

TESTS = Path(__file__).parent


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a working directory with a config; no engine outlives the test."""
    (tmp_path / "tiny.toml").write_text('[data]\nroot = "photos"\n')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for run in list_runs(tmp_path / "runs"):
        engine = attach(run)
        engine.engine_signal(signal.SIGKILL)
        engine.wait_until_gone()


def open_on_terminal(how: str, *argv: str) -> Terminal:
    return Terminal(sys.executable, str(TESTS / "drive_cli.py"), how, *argv)


def the_run(place: Path) -> RunDir:
    (run,) = list_runs(place / "runs")
    return run


def assert_goes_on(run: RunDir) -> None:
    size = run.events.stat().st_size
    deadline = time.monotonic() + SECONDS
    while run.events.stat().st_size <= size:
        assert time.monotonic() < deadline, "the engine has stopped"
        time.sleep(0.02)
    assert attach(run).is_alive()


def test_a_run_is_started_detached_and_come_back_to(place: Path) -> None:
    screen = open_on_terminal("trains", "tiny.toml")
    screen.wait_for(b"Quit")
    screen.wait_for(b"stand_in")
    screen.press(b"d")
    assert screen.left_with() == ExitCode.DONE
    run = the_run(place)
    told = screen.drawn.rpartition(b"?1049l")[2]
    assert f"to come back: ecotui attach {run.run_id}".encode() in told
    assert_goes_on(run)
    again = open_on_terminal("trains", "attach")
    again.wait_for(run.run_id.encode())
    again.press(b"s")
    again.wait_for(b"resumable")
    again.press(b"q")
    assert again.left_with() == ExitCode.RESUMABLE
    assert b"stopped: asked in the app" in again.drawn.rpartition(b"?1049l")[2]


def test_a_closed_terminal_ends_the_app_and_not_the_run(place: Path) -> None:
    screen = open_on_terminal("trains", "tiny.toml")
    screen.wait_for(b"stand_in")
    screen.close()
    screen.left_with(reads=False)
    assert_goes_on(the_run(place))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_app_with_the_terminal_restored(
    place: Path, signum: signal.Signals
) -> None:
    screen = open_on_terminal("trains", "tiny.toml")
    screen.wait_for(b"stand_in")
    os.kill(screen.pid, signum)
    assert screen.left_with() == ExitCode.DONE
    assert b"?1049l" in screen.drawn
    assert b"to come back" in screen.drawn
    assert_goes_on(the_run(place))


def test_a_run_that_began_nothing_leaves_three_lines_and_no_directory(place: Path) -> None:
    screen = open_on_terminal("discards", "tiny.toml")
    screen.wait_for(b"/nowhere")
    screen.press(b"q")
    assert screen.left_with() == ExitCode.USAGE
    assert b"to fix: correct data.root" in screen.drawn.rpartition(b"?1049l")[2]
    assert list_runs(place / "runs") == []


def test_a_config_that_is_wrong_is_told_before_anything_is_drawn(place: Path) -> None:
    (place / "tiny.toml").write_text("[train]\nepochs = 0\n")
    screen = open_on_terminal("trains", "tiny.toml")
    assert screen.left_with() == ExitCode.USAGE
    assert b"error: " in screen.drawn
    assert b"?1049h" not in screen.drawn


def test_the_process_of_the_app_never_holds_torch_or_the_engine(
    recorded: Callable[[str], RunDir],
) -> None:
    source = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ecotui.app import EcoApp\n"
        "from ecotui.paths import RunDir\n"
        "async def main():\n"
        "    app = EcoApp(RunDir(Path(sys.argv[1])), Path('runs'))\n"
        "    async with app.run_test() as pilot:\n"
        "        while app.run_state.ending is None:\n"
        "            await pilot.pause(0.05)\n"
        "        for key in ('1', '2', '3', 'question_mark', 'escape', 'h'):\n"
        "            await pilot.press(key)\n"
        "            await pilot.pause(0.1)\n"
        "asyncio.run(main())\n"
        "print(*sys.modules)\n"
    )
    run = recorded("full_run")
    done = subprocess.run(
        [sys.executable, "-c", source, str(run.path)], capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert "ecotui.screens.training" in names
    heavy = {"torch", "torchvision", "timm", "numpy", "PIL", "safetensors", "sklearn"}
    assert not heavy & {name.partition(".")[0] for name in names}
    assert not [name for name in names if name.startswith("ecotui.engine")]


@pytest.mark.parametrize(("runs_dir", "flag"), [(None, ""), ("else where", " --runs-dir")])
def test_the_farewell_says_how_to_come_back_from_any_runs_directory(
    runs_dir: str | None, flag: str, tmp_path: Path
) -> None:
    app = EcoApp(None, tmp_path)
    assert farewell(app, runs_dir) == []
    app.desk.take(Replay([], RunDir(tmp_path / "digits-1")))
    _, back, stop = farewell(app, runs_dir)
    assert back.startswith(f"to come back: ecotui attach digits-1{flag}")
    assert stop.startswith(f"to stop it: ecotui stop digits-1{flag}")

"""A terminal that closes takes its reader with it, and never the run.

Ten terminals are closed: seven before a stand-in engine, three before a real one, the first of
these in the middle of a save. The control shows that the test would notice: a reader that does
not listen to the hang-up takes the run down.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecotui import session
from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.engine import checkpoint
from ecotui.errors import ExitCode
from ecotui.events import AnyEvent, RunStopped, StepsTaken
from ecotui.paths import RunDir, list_runs
from ecotui.session import attach
from ecotui.stream import Tail, decode
from tests.terminal import Terminal

TESTS = Path(__file__).resolve().parent.parent
DRIVE = (sys.executable, str(TESTS / "drive_cli.py"))
ECOTUI = (sys.executable, "-m", "ecotui")
SECONDS = 60.0

WITHOUT_HANGUP = """
import signal, sys
heard = signal.signal
def deaf(number, handler):
    return None if number == signal.SIGHUP else heard(number, handler)
signal.signal = deaf
sys.argv = sys.argv[1:]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script in which nobody listens to the hang-up of the terminal."""


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


@pytest.fixture
def real_config(place: Path) -> str:
    """A run of a real model that saves at every step, and does not end by itself."""
    import numpy as np
    from PIL import Image

    for number in range(16):
        photo = place / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.Generator(np.random.PCG64(number)).integers(0, 256, (16, 16, 3))
        Image.fromarray(noise.astype(np.uint8)).save(photo)
    table = {
        "data": {"root": str(place / "photos"), "image_size": 32},
        "model": {"name": "test_resnet", "pretrained": False},
        "train": {"epochs": 100_000, "batch_size": 4},
        "compute": {"workers": 0, "threads": 1},
        "checkpoint": {"interval_seconds": 1e-6},
        "preflight": {"level": "off"},
    }
    (place / "real.toml").write_text(to_toml(RunConfig.model_validate(table)))
    return "real.toml"


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def events_of(run: RunDir) -> list[AnyEvent]:
    tail, found = Tail(run.events), []
    while bite := tail.read():
        found += [event for _, event in bite]
    return found


def steps_of(run: RunDir) -> int:
    return max((e.step for e in events_of(run) if isinstance(e, StepsTaken)), default=0)


def begun(place: Path) -> RunDir:
    wait_until(
        lambda: any(steps_of(run) for run in list_runs(place / "runs")), "a run that takes steps"
    )
    return list_runs(place / "runs")[0]


def goes_on(run: RunDir) -> bool:
    """Say whether a run takes more steps, or else has ended."""
    before, engine = steps_of(run), attach(run)
    wait_until(lambda: steps_of(run) > before + 3 or not engine.is_alive(), "steps or an end")
    return engine.is_alive()


def shows(run: RunDir, attached: tuple[str, ...]) -> bool:
    """Say whether a fresh reader shows the run as it is now."""
    now = steps_of(run)
    reader = subprocess.Popen(
        [*attached, "attach", run.run_id, "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout is not None
        for line in reader.stdout:
            event = decode(line.encode())
            # Several steps may share an event: no single number is sure to come.
            if isinstance(event, StepsTaken) and event.step > now:
                return True
        return False
    finally:
        reader.kill()
        reader.communicate()


def close(screen: Terminal) -> None:
    """Close a terminal; what ran on it is gone soon."""
    screen.close()
    screen.left_with(reads=False)


# With the stand-in engine ------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["at once", "a while later", "as it prints"])
def test_a_closed_terminal_of_a_headless_run_leaves_the_run_going(place: Path, moment: str) -> None:
    screen = Terminal(*DRIVE, "has an owner", "--headless", "tiny.toml")
    run = begun(place)
    if moment == "a while later":
        time.sleep(0.5)
    if moment == "as it prints":
        screen.wait_for(b"stand_in")
    close(screen)
    assert goes_on(run)
    assert shows(run, (*DRIVE, ""))


@pytest.mark.parametrize("shell", ["", "exec "])
def test_a_closed_terminal_of_a_detached_run_leaves_it_going(place: Path, shell: str) -> None:
    command = shlex.join([*DRIVE, "trains", "--headless", "--detach", "tiny.toml"])
    screen = Terminal("/bin/bash", "-c", f"{command}; {shell}sleep 60")
    screen.wait_for(b"to watch it")
    run = begun(place)
    close(screen)
    assert goes_on(run)
    assert shows(run, (*DRIVE, ""))


@pytest.mark.parametrize("flags", [("--headless",), ()])
def test_a_closed_terminal_of_an_attached_reader_leaves_the_run_going(
    place: Path, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(
        [*DRIVE, "trains", "--headless", "--detach", "tiny.toml"],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    run = begun(place)
    screen = Terminal(*DRIVE, "", "attach", *flags)
    screen.wait_for(b"stand_in")
    close(screen)
    assert goes_on(run)
    assert shows(run, (*DRIVE, ""))


def test_control_a_reader_deaf_to_the_hang_up_takes_the_run_down(place: Path) -> None:
    deaf = (sys.executable, "-c", WITHOUT_HANGUP, DRIVE[1])
    screen = Terminal(*deaf, "has an owner", "--headless", "tiny.toml")
    run = begun(place)
    screen.close()
    assert screen.left_with(reads=False) == -signal.SIGHUP
    assert not goes_on(run)
    assert events_of(run)[-1].kind == "run_stopped"


# With the real engine ----------------------------------------------------------------------------


def test_terminals_that_close_before_a_real_engine_the_first_during_a_save(
    place: Path, real_config: str
) -> None:
    screen = Terminal(*ECOTUI, "--headless", real_config)
    run = begun(place)
    wait_until(lambda: any(run.checkpoints.glob(".tmp-*")), "a save under way")
    close(screen)
    assert goes_on(run)
    assert b"detach_run" in run.commands.read_bytes()
    for flags in (("--headless",), ()):
        again = Terminal(*ECOTUI, "attach", *flags)
        again.wait_for(b"test_resnet")
        close(again)
        assert goes_on(run)
    assert shows(run, ECOTUI)
    # Asked to stop, it still does, and what it saved loads.
    attach(run).engine_signal(signal.SIGTERM)
    wait_until(lambda: events_of(run)[-1].kind == "run_stopped", "the end of the run")
    assert_stopped_and_saved(run, "received SIGTERM")


def test_a_headless_printer_that_is_killed_has_the_engine_save_and_stop(
    place: Path, real_config: str
) -> None:
    printer = subprocess.Popen(
        [*ECOTUI, "--headless", real_config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    run = begun(place)
    engine: session.Session = attach(run)
    printer.kill()
    printer.wait()
    wait_until(lambda: not engine.is_alive(), "the engine to leave")
    assert_stopped_and_saved(run, "the program that started the run has died")


def assert_stopped_and_saved(run: RunDir, reason: str) -> None:
    last = events_of(run)[-1]
    assert isinstance(last, RunStopped)
    assert (last.reason, last.exit_code) == (reason, ExitCode.RESUMABLE)
    assert last.checkpoint is not None
    assert checkpoint.verify(run.path / last.checkpoint)["step"] == last.step

"""What the app leaves behind: a terminal that can be typed into, and a run at its own pace."""

from __future__ import annotations

import json
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ecotui.paths import RunDir, list_runs
from ecotui.session import attach
from tests.terminal import Terminal

TESTS = Path(__file__).parent.parent
MOUSE = {"?1000", "?1002", "?1003", "?1006", "?1015"}


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Return a terminal on which the app follows an engine; it does not outlive the test."""
    (tmp_path / "tiny.toml").write_text('[data]\nroot = "photos"\n')
    monkeypatch.chdir(tmp_path)
    drive = (sys.executable, str(TESTS / "drive_cli.py"), "trains", "tiny.toml")
    terminal = Terminal(*drive)
    terminal.wait_for(b"stand_in")
    yield terminal
    for run in list_runs(tmp_path / "runs"):
        engine = attach(run)
        engine.engine_signal(signal.SIGKILL)
        engine.wait_until_gone()


def test_the_modes_that_are_put_back_were_on(screen: Terminal) -> None:
    assert {"?1049", "?1000"} <= screen.picture.modes
    assert "?25" not in screen.picture.modes
    assert not termios.tcgetattr(screen.master)[3] & termios.ECHO
    screen.press(b"d")
    screen.left_with()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "d", "q and l"])
def test_the_terminal_is_left_as_it_was_found(screen: Terminal, how: str) -> None:
    if how.startswith("SIG"):
        os.kill(screen.pid, getattr(signal, how))
    else:
        screen.press(how[:1].encode())
    if how == "q and l":
        screen.wait_until(lambda seen: "Leave it running" in seen)
        screen.press(b"l")
    assert screen.left_with() == 0
    for _ in range(5):
        screen.read()
    modes = screen.picture.modes
    assert "?1049" not in modes, "the alternate screen is left"
    assert "?25" in modes, "the cursor is to be seen"
    assert not modes & MOUSE, "the mouse is the terminal's own"
    flags = termios.tcgetattr(screen.master)[3]
    assert flags & termios.ECHO
    assert flags & termios.ICANON


def test_a_terminal_that_nobody_reads_does_not_slow_the_engine(screen: Terminal) -> None:
    (run,) = list_runs(Path("runs"))
    rates = []
    for reads in (True, False):
        wait = screen.read if reads else partial(time.sleep, 0.1)
        rates.append(steps_a_second(run, 5.0, wait))
    # Loose, for a machine with much else to do; a lane of its own holds it to five percent.
    assert rates[1] > 0.6 * rates[0]


@pytest.mark.torture
def test_a_minute_in_which_nobody_reads_costs_the_engine_less_than_five_percent(
    screen: Terminal,
) -> None:
    (run,) = list_runs(Path("runs"))
    # Read before and after, so that a machine that grows busier or idler counts on both sides.
    read_before = steps_a_second(run, 30.0, screen.read)
    stalled = steps_a_second(run, 60.0, partial(time.sleep, 0.1))
    read_after = steps_a_second(run, 30.0, screen.read)
    assert stalled >= 0.95 * (read_before + read_after) / 2


def steps_a_second(run: RunDir, seconds: float, wait: Callable[[], object]) -> float:
    first, began = step_of(run), time.monotonic()
    while time.monotonic() - began < seconds:
        wait()
    return (step_of(run) - first) / (time.monotonic() - began)


def step_of(run: RunDir) -> int:
    whole = run.events.read_bytes().rpartition(b"\n")[0]
    return int(json.loads(whole.rpartition(b"\n")[2])["step"])

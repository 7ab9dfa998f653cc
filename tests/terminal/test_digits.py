"""The demo on a real terminal, by its keys, with the real engine: what it states proves each."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecotui import lock
from ecotui.errors import ExitCode
from ecotui.events import (
    AnyEvent,
    CheckpointSaved,
    ConfigChanged,
    EngineStarted,
    EpochStarted,
    RunContinued,
    RunPaused,
    RunResumed,
    RunStopped,
    StepsTaken,
)
from ecotui.paths import RunDir, list_runs
from ecotui.stream import Tail
from tests.terminal import Terminal

DRIVE = Path(__file__).parent.parent / "drive_cli.py"
LIMIT_SECONDS = 120.0
"""Until the engine has done what was asked, on a machine with much else to do."""
SECONDS_TO_BE_GONE = 2.0
SETTINGS = (
    *("--set", "train.epochs=100000", "--set", "preflight.level=off"),
    *("--set", "compute.threads=1", "--set", "compute.workers=0"),
)
ESCAPE, ENTER, CLEAR = b"\x1b", b"\r", b"\x15"


class Log:
    """The events of a run as they come."""

    def __init__(self, run: RunDir) -> None:
        self._tail = Tail(run.events)
        self.events: list[AnyEvent] = []

    def read(self) -> list[AnyEvent]:
        while found := self._tail.read():
            self.events += [event for _, event in found]
        return self.events

    def of(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.read() if isinstance(event, kind)]


class Session:
    """The apps that are opened on one run, one after the other."""

    def __init__(self, how: str) -> None:
        self._how = how
        self.screen = self.open("digits", *SETTINGS)
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (found := list_runs(Path("runs"))):
            assert time.monotonic() < deadline, f"no run was begun:\n{self.screen.picture}"
            self.screen.read()
        (self.run,) = found
        self.log = Log(self.run)

    def open(self, *arguments: str) -> Terminal:
        return Terminal(sys.executable, str(DRIVE), self._how, *arguments, columns=100, rows=30)

    def attach(self) -> None:
        self.screen = self.open("attach")
        self.screen.wait_until(lambda seen: re.search(r"Step\s+\d+/", seen), LIMIT_SECONDS)

    def wait_for(self, kind: type[AnyEvent], count: int = 1) -> AnyEvent:
        """Read the terminal until the engine has stated so many events of a kind."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(found := self.log.of(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind.__name__}:\n{self.screen.picture}"
            self.screen.read()
        return found[count - 1]

    def steps_go_on(self) -> None:
        self.wait_for(StepsTaken, len(self.log.of(StepsTaken)) + 2)

    def is_alive(self) -> bool:
        return lock.is_held(self.run.lock)

    def kill(self) -> None:
        holder = lock.read_holder(self.run.lock)
        if holder is not None and lock.is_held(self.run.lock):
            os.kill(holder.pid, signal.SIGKILL)


@pytest.fixture
def going(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_engines: str) -> Iterator[Session]:
    """Digits, started in the app, taking steps."""
    monkeypatch.chdir(tmp_path)
    session = Session(warm_engines)
    try:
        session.wait_for(StepsTaken, 2)
        yield session
    finally:
        session.kill()


def told(screen: Terminal, code: int) -> str:
    """Wait until the app has left with a code, and return all that it wrote."""
    left_with = screen.left_with()
    assert left_with == code, screen.drawn[-4000:].decode(errors="replace")
    for _ in range(3):
        screen.read()
    return screen.drawn.decode()


def test_pause_learning_rate_checkpoint_and_detach_by_their_keys(going: Session) -> None:
    going.screen.press(b"p")
    paused = going.wait_for(RunPaused)
    assert isinstance(paused, RunPaused)
    going.screen.wait_until(lambda seen: "paused" in seen.lower())
    going.screen.press(b"p")
    going.wait_for(RunContinued)
    going.steps_go_on()

    going.screen.press(b"l")
    going.screen.wait_until(lambda seen: "Enter takes it" in seen)
    going.screen.press(CLEAR)
    going.screen.settle()
    going.screen.press(b"0.000125")
    going.screen.wait_until(lambda seen: "0.000125" in seen)
    going.screen.press(ENTER)
    changed = going.wait_for(ConfigChanged)
    assert isinstance(changed, ConfigChanged)
    assert (changed.key, float(changed.new)) == ("train.learning_rate", 0.000125)

    going.screen.press(b"c")
    saved, reason = 0, ""
    while reason != "request":  # An epoch may end meanwhile, and be saved too.
        saved += 1
        event = going.wait_for(CheckpointSaved, saved)
        assert isinstance(event, CheckpointSaved)
        reason = event.reason

    going.screen.press(b"d")
    assert "ecotui attach" in told(going.screen, ExitCode.DONE)
    assert going.is_alive()
    going.attach()
    going.steps_go_on()


def test_every_way_to_quit_and_to_come_back(going: Session) -> None:
    going.screen.press(b"q")
    going.screen.wait_until(lambda seen: "Leave it running" in seen)
    going.screen.press(ESCAPE)
    going.screen.wait_until(lambda seen: "Leave it running" not in seen)
    going.steps_go_on()
    going.screen.press(b"q")
    going.screen.wait_until(lambda seen: "Leave it running" in seen)
    going.screen.press(b"l")
    assert "ecotui attach" in told(going.screen, ExitCode.DONE)
    assert going.is_alive()
    assert going.log.of(RunStopped) == []

    going.attach()
    going.screen.press(b"q")
    going.screen.wait_until(lambda seen: "Stop it and save" in seen)
    going.screen.press(b"s")
    stopped = going.wait_for(RunStopped)
    assert isinstance(stopped, RunStopped)
    assert stopped.checkpoint is not None
    assert (going.run.path / stopped.checkpoint / "MANIFEST.json").exists()
    told(going.screen, ExitCode.RESUMABLE)

    going.screen = going.open("attach")
    going.screen.wait_until(lambda seen: "r Resume" in seen, LIMIT_SECONDS)
    going.screen.press(b"r")
    resumed = going.wait_for(RunResumed)
    assert isinstance(resumed, RunResumed)
    assert resumed.from_step == stopped.step
    assert len(going.log.of(EngineStarted)) == 2
    going.steps_go_on()
    going.screen.press(b"s")
    again = going.wait_for(RunStopped, 2)
    assert isinstance(again, RunStopped)
    assert again.step > stopped.step
    going.screen.wait_until(lambda seen: "r Resume" in seen)
    going.screen.press(b"q")
    told(going.screen, ExitCode.RESUMABLE)
    assert [each.seq for each in going.log.read()] == list(range(1, len(going.log.events) + 1))


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.torture)])
def test_a_terminal_that_is_closed_takes_the_app_along_and_not_the_run(
    going: Session, times: int
) -> None:
    for number in range(times):
        saved = 0
        if number % 2:  # While a checkpoint is written.
            saved = len(going.log.of(CheckpointSaved))
            going.screen.press(b"c")
            deadline = time.monotonic() + LIMIT_SECONDS
            while b"save_checkpoint" not in going.run.commands.read_bytes():
                assert time.monotonic() < deadline, "never asked for"
                going.screen.read()
        closed = time.monotonic()
        going.screen.close()
        going.screen.left_with(reads=False)
        # On a machine with much else to do, twice that.
        assert time.monotonic() - closed < 2 * SECONDS_TO_BE_GONE
        assert going.is_alive()
        going.attach()
        going.steps_go_on()
        if number % 2:
            going.wait_for(CheckpointSaved, saved + 1)
        going.screen.press(b"p")
        going.wait_for(RunPaused, number + 1)
        same = rf"Step\s+{step_in_epoch(going.log)}/"
        going.screen.wait_until(lambda seen, same=same: re.search(same, seen))  # type: ignore[misc]
        going.screen.wait_until(lambda seen: "p Continue" in seen)
        going.screen.press(b"p")
        going.wait_for(RunContinued, number + 1)
    assert going.log.of(RunStopped) == []
    assert len(going.log.of(EngineStarted)) == 1


def step_in_epoch(log: Log) -> int:
    """Return how many steps of its epoch a run has taken: none where it was paused between two."""
    last = [each for each in log.read() if isinstance(each, StepsTaken | EpochStarted)][-1]
    return last.step_in_epoch if isinstance(last, StepsTaken) else 0


@pytest.mark.slow
def test_a_terminal_that_stalls_for_a_minute_slows_no_step(going: Session) -> None:
    rates: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(4):  # In turn, so that a machine that gets busier slows both.
        for reads in (True, False):
            first = going.log.of(StepsTaken)[-1]
            began = time.monotonic()
            while time.monotonic() - began < 15.0:
                going.screen.read() if reads else time.sleep(0.1)
            last = going.log.of(StepsTaken)[-1]
            rates[reads].append((last.step - first.step) / (last.at - first.at))  # type: ignore[union-attr]
    read, stalled = (sorted(rates[each])[1:3] for each in (True, False))
    assert sum(stalled) / sum(read) > 0.95, rates

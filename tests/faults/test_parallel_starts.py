"""Of fifty engines started at once on one run directory, one works; the rest say which it is."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecotui import lock
from ecotui.errors import ExitCode
from ecotui.jobs import TrainJob
from ecotui.paths import RunDir
from ecotui.stream import Tail

STARTS = 50
WAIT_SECONDS = 120.0
MAX_TRY_SECONDS = 5.0
"""A second is promised; here fifty share what cores there are, with whatever else runs."""

RACE = """
import os, signal, sys, time

run_dir, starts, without_lock = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "without"
sys.modules["torch"] = None  # nothing at the door may need it
from ecotui import lock
from ecotui.engine import __main__ as door, runner
from ecotui.paths import RunDir

def work(*args, **kwargs):
    # In place of the job: hold what was won until the test has looked.
    sys.stdout.write(f"won {os.getpid()}\\n")
    sys.stdout.flush()
    time.sleep(600)

runner.run_job = work
if without_lock:
    class Free:
        def release(self):
            pass
    lock.acquire = lambda path: Free()

children = []
go_read, go_write = os.pipe()
for _ in range(starts):
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.read(go_read, 1)  # until the starter closes its end
        tried = time.monotonic()
        sys.argv = ["engine", run_dir]
        error = os.open(os.path.join(run_dir, f"said-{os.getpid()}"), os.O_WRONLY | os.O_CREAT)
        os.dup2(error, 2)
        code = door.main()
        sys.stdout.write(f"lost {os.getpid()} {code} {time.monotonic() - tried:.3f}\\n")
        sys.stdout.flush()
        os._exit(0)
    children.append(pid)
os.close(go_write)
sys.stdin.read()
for pid in children:
    os.kill(pid, signal.SIGKILL)
for pid in children:
    os.waitpid(pid, 0)
"""
"""One process that has imported what the door needs, and forks a door for each start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the starts.

    Attributes:
        winners: Pids of those that got to work.
        losers: By pid, the exit code and how long the try took, seconds.
        said: What each loser said, by pid.
    """

    winners: list[int]
    losers: dict[int, tuple[int, float]]
    said: dict[int, str]


def made(path: Path) -> RunDir:
    run = RunDir(path / "run")
    run.path.mkdir()
    run.job.write_text(TrainJob().model_dump_json())
    run.config.write_text("")
    return run


def raced(run: RunDir, starts: int, *, without_lock: bool = False) -> Outcome:
    """Start engines at one moment, and stop them all once each has won or lost."""
    mode = "without" if without_lock else "with"
    with subprocess.Popen(
        [sys.executable, "-c", RACE, str(run.path), str(starts), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdin is not None
        lines = [starter.stdout.readline().split() for _ in range(starts)]
        starter.stdin.close()
        assert starter.wait(WAIT_SECONDS) == 0
    losers = {int(line[1]): (int(line[2]), float(line[3])) for line in lines if line[0] == "lost"}
    return Outcome(
        winners=[int(line[1]) for line in lines if line[0] == "won"],
        losers=losers,
        said={pid: (run.path / f"said-{pid}").read_text() for pid in losers},
    )


def kinds_of(run: RunDir) -> list[str]:
    return [event.kind for _, event in Tail(run.events).read()]


@pytest.mark.timeout(WAIT_SECONDS)
def test_of_fifty_starts_at_once_one_wins_and_the_others_name_it(tmp_path: Path) -> None:
    run = made(tmp_path)
    began = time.time()
    outcome = raced(run, STARTS)
    assert len(outcome.winners) == 1
    assert len(outcome.losers) == STARTS - 1
    (winner,) = outcome.winners
    words = (
        rf"another engine works here: process {winner} on {re.escape(socket.gethostname())}, for "
    )
    for pid, (code, seconds) in outcome.losers.items():
        assert code == ExitCode.ERROR
        assert re.match(words + r"\d+ s$", outcome.said[pid].strip()), outcome.said[pid]
        assert seconds < MAX_TRY_SECONDS
    assert kinds_of(run).count("engine_started") == 1
    holder = lock.read_holder(run.lock)
    assert holder is not None
    assert (holder.pid, holder.started_at >= began - 1) == (winner, True)


@pytest.mark.timeout(WAIT_SECONDS)
def test_after_the_winner_is_killed_the_next_start_wins_at_once(tmp_path: Path) -> None:
    run = made(tmp_path)
    first, second = raced(run, 3), raced(run, 3)
    assert (len(first.winners), len(second.winners)) == (1, 1)
    assert first.winners != second.winners
    assert kinds_of(run).count("engine_started") == 2


@pytest.mark.timeout(WAIT_SECONDS)
def test_without_the_lock_there_is_more_than_one(tmp_path: Path) -> None:
    run = made(tmp_path)
    outcome = raced(run, 5, without_lock=True)
    assert len(outcome.winners) > 1

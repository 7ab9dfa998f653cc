"""A signal in any stage stops a run in time, with a checkpoint from which the same bits follow."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ecotui.commands import PauseRun, append_command
from ecotui.engine import checkpoint
from ecotui.errors import ExitCode
from ecotui.paths import RunDir
from tests.faults import keeping
from tests.faults.conftest import Directories, MakeDirectories
from tests.faults.engines import Engine, EngineServer, send, start_fresh
from tests.faults.watching import WRITING, Watch

TERM, INT, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1
LIMIT_SECONDS = 20.0
"""Five are promised on a quiet machine; a shared one may stall."""
END_SECONDS = 120.0
MOST_TRIES = 5

MOMENTS: dict[str, Callable[[Watch], bool]] = {
    "diagnose": lambda watch: watch.is_in_stage("diagnose"),
    "reading data": lambda watch: is_doing(watch, "reading"),
    "loading libraries": lambda watch: is_doing(watch, "loading"),
    "building": lambda watch: is_doing(watch, "building"),
    "audit": lambda watch: watch.is_in_stage("audit"),
    "preflight": lambda watch: watch.is_in_stage("preflight"),
    "first batch": lambda watch: watch.count("epoch_started") > 0,
    "train": lambda watch: watch.count("steps_taken") > 3,
    "pause": lambda watch: watch.count("run_paused") > 0 or not ask_for_a_pause(watch),
    "validate": lambda watch: watch.is_in_stage("validate"),
    "save": lambda watch: watch.count("steps_taken") > 0 and watch.has_entry(WRITING),
    "test": lambda watch: watch.is_in_stage("test"),
}
"""What is seen of a run when its signal is sent."""


def ask_for_a_pause(watch: Watch) -> bool:
    if watch.count("steps_taken") and not watch.run.commands.exists():
        append_command(watch.run.commands, PauseRun())
    return True


def is_doing(watch: Watch, what: str) -> bool:
    return any(e.kind == "setup_advanced" and e.doing.startswith(what) for e in watch.attempt)


@dataclass(frozen=True, slots=True)
class Case:
    """One signal, or two of them.

    Attributes:
        moment: When the first one is sent; see `MOMENTS`.
        first: The first one.
        second: Sent on top of it, or None.
        pause_seconds: Between the two.
        delay_seconds: Before the first one.
        is_fresh: In an interpreter of its own, which has to import everything.
    """

    moment: str
    first: signal.Signals
    second: signal.Signals | None = None
    pause_seconds: float = 0.0
    delay_seconds: float = 0.0
    is_fresh: bool = False

    @property
    def is_at_once(self) -> bool:
        """Whether nothing can be saved between the two; SIGUSR1 may be no more than a notice."""
        is_order = USR1 not in (self.first, self.second)
        return self.second is not None and self.pause_seconds == 0.0 and is_order

    def __str__(self) -> str:
        second = f"+{self.second.name}" if self.second else ""
        return f"{self.moment}-{self.first.name}{second}"


FAST = (
    Case("diagnose", TERM),
    Case("building", USR1),
    Case("first batch", INT),
    Case("train", TERM, delay_seconds=0.05),
    Case("train", TERM, INT),
    Case("validate", USR1),
    Case("save", TERM),
    Case("save", INT, TERM),
    Case("test", INT),
)
LONG = (
    Case("diagnose", INT, TERM),
    Case("reading data", TERM),
    Case("reading data", USR1, INT, pause_seconds=0.005),
    Case("loading libraries", TERM, is_fresh=True),
    Case("loading libraries", INT, INT, pause_seconds=0.5, is_fresh=True),
    Case("audit", TERM),
    Case("preflight", INT),
    Case("preflight", TERM, INT),
    Case("first batch", USR1, USR1, pause_seconds=0.005),
    Case("pause", TERM),
    Case("pause", INT, TERM),
    Case("validate", TERM, INT),
    Case("save", INT),
    Case("save", USR1, TERM, pause_seconds=0.01),
    Case("test", TERM, INT),
)
DOUBLED_CODES = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)


@pytest.fixture(scope="module")
def checked(directories: MakeDirectories) -> Directories:
    """Run directories of the same configuration, with everything checked before.

    Saved only where it has to be, so that a stop meets steps that nothing has told of yet.
    """
    return directories(preflight={"level": "full"}, checkpoint={"interval_seconds": 60.0})


@pytest.mark.parametrize("case", FAST, ids=str)
def test_a_signal_stops_a_run_that_later_ends_with_the_same_bits(
    case: Case,
    server: EngineServer,
    checked: Directories,
    whole: RunDir,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal_and_resume(case, server, checked, whole, capsys)


@pytest.mark.torture
@pytest.mark.parametrize("case", LONG, ids=str)
def test_more_signals_do_so_too(
    case: Case,
    server: EngineServer,
    checked: Directories,
    whole: RunDir,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal_and_resume(case, server, checked, whole, capsys)


def signal_and_resume(
    case: Case,
    server: EngineServer,
    made: Directories,
    whole: RunDir,
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch, code, seconds = signalled(case, server, made)
    with capsys.disabled():
        sys.stdout.write(f"\n{case!s:<32}{code:>4}{seconds:>7.2f} s ")
    assert seconds < LIMIT_SECONDS
    check_what_is_left(case, watch, code)
    watch.begin_attempt()
    assert start(server, watch.run).wait(END_SECONDS) == ExitCode.DONE
    watch.read()
    assert keeping.differences(watch, whole) == []


def signalled(case: Case, server: EngineServer, made: Directories) -> tuple[Watch, int, float]:
    """Signal a run at a moment, and again another run where that came too late.

    Returns:
        The run, its exit code, and the seconds from the first signal to the end.
    """
    for _ in range(MOST_TRIES):
        watch = Watch(made.new())
        engine = begin(case, server, watch.run)
        assert watch.wait_until(engine, lambda: MOMENTS[case.moment](watch))  # noqa: B023
        time.sleep(case.delay_seconds)
        sent = time.monotonic()
        send(engine, case.first)
        if case.second is not None:
            time.sleep(case.pause_seconds)
            send(engine, case.second)
        code = engine.wait(END_SECONDS)
        seconds = time.monotonic() - sent
        watch.read()
        was_late = case.is_at_once and code == ExitCode.RESUMABLE
        if watch.events[-1].kind != "run_finished" and not was_late:
            return watch, code, seconds
    raise AssertionError(f"{case} always came too late")


def begin(case: Case, server: EngineServer, run: RunDir) -> Engine:
    if case.is_fresh:
        run.config.write_text(run.config.read_text().replace('"full"', '"off"'))
        return start_fresh(run)
    # The probe of the environment takes seconds: only where it is what is interrupted.
    return server.start(run) if case.moment == "diagnose" else start(server, run)


def start(server: EngineServer, run: RunDir) -> Engine:
    return server.start(run, patches=("healthy_environment",))


def check_what_is_left(case: Case, watch: Watch, code: int) -> None:
    last = watch.events[-1]
    faults, _ = keeping.lost(watch)
    assert faults == []
    if last.kind != "run_stopped":
        assert case.second is not None
        assert code in DOUBLED_CODES
        return
    assert code == ExitCode.RESUMABLE
    names = {number.name for number in (case.first, case.second) if number is not None}
    assert last.reason.removeprefix("received ") in names
    if last.step > 0:
        assert last.checkpoint is not None
    if last.checkpoint is not None:
        assert checkpoint.verify(watch.run.path / last.checkpoint)["step"] == last.step

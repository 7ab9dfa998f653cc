"""What a signal makes of a flag, depending on what was asked for before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecotui.commands import SaveCheckpoint, StopRun, append_command
from ecotui.engine.control import TIME_LIMIT, StopFlag
from ecotui.engine.signals import catch_signals, settle, stops_asked
from ecotui.errors import ExitCode
from ecotui.events import Event, Heartbeat, RunFailed, RunStopped

TERM, INT, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1


class LeftError(BaseException):
    """In place of leaving at once."""


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def leave(code: int) -> None:
        raise LeftError(code)

    monkeypatch.setattr("ecotui.engine.signals.os._exit", leave)
    earlier = {each: signal.getsignal(each) for each in (TERM, INT, USR1, signal.SIGHUP)}
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


def heard(*numbers: signal.Signals, asked: tuple[str, ...] = (), reason: str | None = None) -> str:
    flag = StopFlag(reason=reason)
    catch_signals(flag, lambda: asked)
    try:
        for number in numbers:
            os.kill(os.getpid(), number)
    except LeftError as left:
        return f"left {left.args[0]:d}"
    return str(flag.reason)


@pytest.mark.parametrize("number", [TERM, INT, USR1])
def test_a_first_signal_is_a_wish_to_stop(number: signal.Signals) -> None:
    assert heard(number) == f"received {number.name}"


@pytest.mark.parametrize(
    ("numbers", "code"),
    [((TERM, TERM), ExitCode.TERMINATED), ((TERM, INT), ExitCode.INTERRUPTED)],
)
def test_a_second_one_leaves_at_once(numbers: tuple[signal.Signals, ...], code: int) -> None:
    assert heard(*numbers) == f"left {code}"


def test_a_second_one_while_the_first_is_looked_at_is_a_second_one() -> None:
    flag = StopFlag()

    def stops() -> tuple[str, ...]:
        os.kill(os.getpid(), INT)  # the handler of the first one has not returned
        return ()

    catch_signals(flag, stops)
    with pytest.raises(LeftError) as left:
        os.kill(os.getpid(), TERM)
    assert left.value.args == (ExitCode.INTERRUPTED,)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (RunStopped(reason="received SIGTERM", epoch=0, step=1, checkpoint=None), 75),
        (
            RunFailed(what="", expected="", remedy="", exit_code=4, checkpoint=None, discard=False),
            4,
        ),
    ],
)
def test_after_the_last_event_a_signal_changes_no_exit_code(last: Event, code: int) -> None:
    flag = StopFlag()
    catch_signals(flag, tuple)
    os.kill(os.getpid(), TERM)
    settle(flag, last)
    with pytest.raises(LeftError) as left:
        os.kill(os.getpid(), INT)
    assert left.value.args == (code,)


def test_an_event_in_between_settles_nothing() -> None:
    flag = StopFlag()
    settle(flag, Heartbeat(step=1, seconds_since_progress=0.0))
    assert flag.exit_code is None


def test_a_notice_never_leaves_and_what_follows_it_is_the_first() -> None:
    assert heard(USR1, USR1, TERM) == "received SIGUSR1"
    assert heard(USR1, TERM, TERM) == f"left {ExitCode.TERMINATED}"
    assert heard(TERM, reason=TIME_LIMIT) == TIME_LIMIT


def test_a_signal_to_the_printer_and_the_engine_at_once_is_one_wish() -> None:
    assert heard(TERM, asked=("SIGTERM",)) == "received SIGTERM"
    assert heard(TERM, asked=("SIGUSR1",)) == "received SIGTERM"
    assert heard(TERM, TERM, asked=("SIGTERM",)) == f"left {ExitCode.TERMINATED}"


@pytest.mark.parametrize("asked", [("ecotui stop",), ("SIGTERM", "SIGTERM again"), ("SIGINT",)])
def test_a_signal_on_top_of_another_wish_leaves_at_once(asked: tuple[str, ...]) -> None:
    assert heard(TERM, asked=asked) == f"left {ExitCode.TERMINATED}"


def test_a_hang_up_is_nothing() -> None:
    assert heard(signal.SIGHUP) == "None"


def test_only_stops_that_are_to_come_now_count(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    append_command(path, StopRun(reason="long ago"))
    offset = path.stat().st_size
    for command in (SaveCheckpoint(), StopRun(after_epoch=True), StopRun(reason="SIGINT")):
        append_command(path, command)
    assert stops_asked(path, offset) == ["SIGINT"]
    assert stops_asked(tmp_path, 0) == []

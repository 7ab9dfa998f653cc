from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui import lock, session, storage
from ecotui.commands import DetachRun, StopRun
from ecotui.config_file import LoadedConfig
from ecotui.errors import EcoError
from ecotui.events import AnyEvent, CommandAnswered, EngineLost, RunFinished, StepsTaken
from ecotui.paths import RunDir
from ecotui.session import Session, attach

Launch = Callable[..., Session]
Recorded = Callable[[str], RunDir]


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def read_to_the_end(engine: Session) -> list[AnyEvent]:
    events: list[AnyEvent] = []

    def read() -> bool:
        events.extend(event for _, event in engine.read())
        return engine.ended

    until(read)
    return events


def read_until(engine: Session, kind: type[AnyEvent]) -> list[AnyEvent]:
    events: list[AnyEvent] = []

    def read() -> bool:
        events.extend(event for _, event in engine.read())
        return any(isinstance(event, kind) for event in events)

    until(read)
    return events


def test_an_engine_that_finishes_is_read_to_its_last_event(stand_in: Launch) -> None:
    engine = stand_in("finishes")
    events = read_to_the_end(engine)
    assert isinstance(events[-1], RunFinished)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert engine.read() == []
    assert engine.wait_until_gone()
    assert engine.exit_status == 0


def test_the_owner_is_named_only_to_an_owned_engine(stand_in: Launch) -> None:
    owned = read_to_the_end(stand_in("finishes", owned=True))[0]
    free = read_to_the_end(stand_in("finishes", owned=False))[0]
    assert owned.model_dump()["version"] == f"owner {os.getpid()}"
    assert free.model_dump()["version"] == "owner none"


def test_an_engine_has_a_session_of_its_own_that_no_key_press_reaches(stand_in: Launch) -> None:
    engine = stand_in("trains")
    read_until(engine, StepsTaken)
    holder = lock.read_holder(engine.run.lock)
    assert holder is not None
    assert os.getsid(holder.pid) == holder.pid != os.getsid(0)


def test_an_engine_that_raises_leaves_its_traceback_as_last_words(stand_in: Launch) -> None:
    lost = read_to_the_end(stand_in("raises"))[-1]
    assert isinstance(lost, EngineLost)
    assert "RuntimeError: a bug\\e[31m in red" in lost.last_words
    assert "exit status 1" in lost.last_words[-1]
    assert len(lost.last_words) <= 8


def test_an_engine_that_aborts_is_lost_with_its_checkpoint(stand_in: Launch) -> None:
    lost = read_to_the_end(stand_in("aborts"))[-1]
    assert isinstance(lost, EngineLost)
    assert lost.checkpoint == "checkpoints/step-0000000001"
    assert "signal 6 (SIGABRT)" in lost.last_words[-1]


def test_a_killed_engine_is_explained_in_plain_words_to_every_reader(stand_in: Launch) -> None:
    engine = stand_in("saves and trains")
    read_until(engine, StepsTaken)
    engine.engine_signal(signal.SIGKILL)
    lost = read_to_the_end(engine)[-1]
    assert isinstance(lost, EngineLost)
    assert "signal 9 (SIGKILL), often the system running out of memory" in lost.last_words[-1]
    assert lost.checkpoint == "checkpoints/step-0000000001"
    later = read_to_the_end(attach(engine.run))[-1]
    assert isinstance(later, EngineLost)
    assert (later.last_words, later.checkpoint) == (lost.last_words, lost.checkpoint)


def test_a_lost_engine_is_never_written_to_the_log(stand_in: Launch) -> None:
    engine = stand_in("aborts")
    read_to_the_end(engine)
    assert b"engine_lost" not in engine.run.events.read_bytes()


def test_two_watchers_and_a_late_one_read_the_same(stand_in: Launch) -> None:
    engine = stand_in("trains")
    read_until(watcher := attach(engine.run), StepsTaken)
    assert watcher.is_alive()
    engine.request(StopRun(reason="enough"))
    mine = read_to_the_end(engine)
    read_to_the_end(watcher)
    late = read_to_the_end(attach(engine.run))
    assert late == mine
    assert late[-1].kind == "run_stopped"
    assert any(isinstance(event, CommandAnswered) for event in late)


def test_a_watcher_that_comes_before_the_engine_waits_for_it(
    loaded: LoadedConfig, tmp_path: Path
) -> None:
    run = storage.create_run(loaded, tmp_path)
    watcher = attach(run)
    assert watcher.read() == []
    assert watcher.is_alive()


def test_an_engine_that_takes_the_lock_while_it_is_looked_at_is_alive(
    loaded: LoadedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = storage.create_run(loaded, tmp_path)

    def free_and_then_taken(_: Path) -> bool:
        run.lock.write_text(f'{{"pid": 1, "host": "here", "started_at": {time.time()}}}')
        return False

    monkeypatch.setattr(lock, "is_held", free_and_then_taken)
    assert attach(run).is_alive()


def test_an_engine_that_never_begins_is_given_up(
    stand_in: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SECONDS_TO_TAKE_THE_LOCK", 0.3)
    lost = read_to_the_end(stand_in("never begins"))[-1]
    assert isinstance(lost, EngineLost)
    assert "did not begin" in lost.last_words[-1]


def test_an_engine_that_cannot_be_started_is_told(loaded: LoadedConfig, tmp_path: Path) -> None:
    run = storage.create_run(loaded, tmp_path)
    with pytest.raises(EcoError, match="cannot be started"):
        session.launch(run, owned=True, engine_argv=("/nowhere/python",))


def test_a_recorded_log_without_an_end_is_a_lost_engine(recorded: Recorded) -> None:
    for name in ("engine_lost", "torn_line"):
        lost = read_to_the_end(attach(recorded(name)))[-1]
        assert isinstance(lost, EngineLost)
        assert lost.checkpoint == "checkpoints/step-0000000024"
        assert lost.last_words == ()


def test_an_end_written_as_the_lock_is_given_back_is_not_missed(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded("engine_lost")
    ending = run.path.parent.parent / "clean.jsonl"
    ending.write_bytes(recorded("clean_run").events.read_bytes().splitlines()[-1] + b"\n")
    watcher = attach(run)
    assert watcher.read()

    def free_after_the_end(_: Path) -> bool:
        with run.events.open("ab") as file:
            file.write(ending.read_bytes())
        return False

    monkeypatch.setattr(lock, "is_held", free_after_the_end)
    assert [event.kind for _, event in watcher.read()] == ["run_finished"]


def test_a_relaunched_run_is_not_ended_by_its_earlier_end(recorded: Recorded) -> None:
    run = recorded("stopped")
    argv = (sys.executable, str(Path(__file__).parent / "stand_in_engine.py"), "finishes")
    engine = session.launch(run, owned=True, engine_argv=argv)
    kinds = [event.kind for event in read_to_the_end(engine)]
    assert kinds.index("run_stopped") < kinds.index("run_finished") == len(kinds) - 1
    assert engine.wait_until_gone()


def test_a_failed_beginning_is_discarded_with_its_directory(stand_in: Launch) -> None:
    engine = stand_in("discards")
    assert not engine.discard()
    read_to_the_end(engine)
    assert engine.discard()
    assert list(engine.run.path.parent.iterdir()) == []


def test_a_run_with_something_committed_is_never_discarded(stand_in: Launch) -> None:
    engine = stand_in("discards")
    read_to_the_end(engine)
    (engine.run.checkpoints / "step-1").mkdir(parents=True)
    assert not engine.discard()
    assert engine.run.config.is_file()


def test_a_run_that_failed_later_is_kept(stand_in: Launch) -> None:
    engine = stand_in("fails")
    read_to_the_end(engine)
    assert not engine.discard()
    assert engine.run.events.is_file()


def test_the_engine_outlives_the_terminal_it_was_started_from(
    loaded: LoadedConfig, tmp_path: Path
) -> None:
    run = storage.create_run(loaded, tmp_path / "runs")
    stand_in_path = str(Path(__file__).parent / "stand_in_engine.py")
    program = (
        "import sys, time; from pathlib import Path; from ecotui import session;"
        "from ecotui.paths import RunDir;"
        f"session.launch(RunDir(Path({str(run.path)!r})), owned=False,"
        f" engine_argv=(sys.executable, {stand_in_path!r}, 'trains'));"
        "time.sleep(60)"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606
    watcher = attach(run)
    read_until(watcher, StepsTaken)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    read_until(watcher, StepsTaken)
    assert lock.is_held(run.lock)
    watcher.request(DetachRun())
    assert isinstance(read_to_the_end(watcher)[-1], RunFinished)


def test_a_request_that_cannot_be_written_is_told(recorded: Recorded) -> None:
    run = recorded("engine_lost")
    run.commands.mkdir()
    with pytest.raises(EcoError, match="request cannot be written"):
        attach(run).request(StopRun())

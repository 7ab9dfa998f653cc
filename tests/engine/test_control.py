"""Requests are answered between steps, and every wish to stop becomes one exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.commands import (
    ContinueRun,
    DetachRun,
    ExtendRun,
    PauseRun,
    SaveCheckpoint,
    StopRun,
    append_command,
)
from ecotui.engine import control as control_module
from ecotui.engine.control import Answer, Change, Control, StopFlag, StopRequested
from ecotui.engine.deadline import Deadline
from ecotui.events import CommandAnswered, Event, RunContinued, RunPaused


class Harness:
    def __init__(self, path: Path, *, owner: int | None = None, parent: int = 1) -> None:
        self.path, self.parent = path / "commands.jsonl", parent
        self.events: list[Event] = []
        self.flag = StopFlag()
        self.control = Control(
            self.path, 0, self.events.append, self.flag, owner, lambda: self.parent
        )


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "COMMANDS_INTERVAL_SECONDS", 0.0)


def test_nothing_asked_nothing_happens(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.control.poll(3)
    assert harness.events == []
    assert harness.control.progress.step == 3
    assert not harness.control.take_save_request()


def test_stop_is_answered_and_raised_with_its_reason(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    command = StopRun(reason="asked by\x1b[2J me")
    append_command(harness.path, command)
    with pytest.raises(StopRequested) as caught:
        harness.control.poll(1)
    assert caught.value.reason == "asked by\\e[2J me"
    (answer,) = harness.events
    assert isinstance(answer, CommandAnswered)
    assert (answer.command_id, answer.accepted) == (command.id, True)


def test_a_save_request_is_taken_once(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    append_command(harness.path, SaveCheckpoint())
    harness.control.poll(1)
    assert harness.control.take_save_request()
    assert not harness.control.take_save_request()


def test_a_signal_is_raised_at_the_next_batch_and_at_every_one_after(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.flag.reason = "received SIGTERM"
    for _ in range(2):
        with pytest.raises(StopRequested, match="SIGTERM"):
            harness.control.poll(1)


def test_the_death_of_the_owner_stops_the_run(tmp_path: Path) -> None:
    harness = Harness(tmp_path, owner=42, parent=42)
    harness.control.poll(1)
    harness.parent = 1
    with pytest.raises(StopRequested, match="has died"):
        harness.control.poll(2)


def test_a_detached_run_outlives_its_owner(tmp_path: Path) -> None:
    harness = Harness(tmp_path, owner=42, parent=1)
    append_command(harness.path, DetachRun())
    harness.control.poll(1)
    harness.control.poll(2)


def test_commands_before_this_attempt_are_not_heard(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    append_command(path, StopRun())
    events: list[Event] = []
    Control(path, path.stat().st_size, events.append, StopFlag()).poll(1)
    assert events == []


# Pauses, held requests, the clock ----------------------------------------------------------------


class FakeDesk:
    """Writes down what it is asked for, and takes memory back when there is room."""

    def __init__(self, *, has_room: bool = True) -> None:
        self.has_room = has_room
        self.done: list[str] = []

    def change(self, command: Change) -> Answer:
        self.done.append(command.kind)
        return Answer(True, "changed")

    def save(self) -> None:
        self.done.append("save")

    def free_memory(self) -> bool:
        self.done.append("free")
        return True

    def take_memory_back(self) -> Answer:
        self.done.append("take back")
        return Answer(self.has_room, "going on" if self.has_room else "no room")


def answers(events: list[Event]) -> list[tuple[str, bool]]:
    return [(each.command, each.accepted) for each in events if isinstance(each, CommandAnswered)]


def test_a_pause_lasts_until_it_is_ended_and_saves_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, desk = Harness(tmp_path), FakeDesk()
    harness.control.open_desk(desk)
    append_command(harness.path, PauseRun(free_memory=True))
    waits: list[int] = []

    def sleep(seconds: float) -> None:
        waits.append(1)
        if len(waits) == 2:
            append_command(harness.path, SaveCheckpoint())
        if len(waits) == 4:
            append_command(harness.path, ContinueRun())

    monkeypatch.setattr("ecotui.engine.control.time.sleep", sleep)
    harness.control.poll(7)
    assert desk.done == ["free", "save", "take back"]
    (paused,) = [each for each in harness.events if isinstance(each, RunPaused)]
    (continued,) = [each for each in harness.events if isinstance(each, RunContinued)]
    assert (paused.step, paused.memory_freed) == (7, True)
    assert continued.step == 7
    assert not harness.control.take_save_request()
    assert all(accepted for _, accepted in answers(harness.events))
    harness.control.poll(8)
    assert len(waits) == 4


def test_a_run_that_stands_still_gives_back_the_memory_it_has_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness(tmp_path)
    append_command(harness.path, PauseRun())
    done: list[str] = []

    def sleep(seconds: float) -> None:
        done.append("waits")
        append_command(harness.path, ContinueRun())

    monkeypatch.setattr("ecotui.engine.control.time.sleep", sleep)
    monkeypatch.setattr("ecotui.engine.control.release_freed", lambda: done.append("released"))
    harness.control.poll(1)
    assert done == ["released", "waits"]


def test_a_pause_goes_on_where_the_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, desk = Harness(tmp_path), FakeDesk(has_room=False)
    harness.control.open_desk(desk)
    append_command(harness.path, PauseRun(free_memory=True))
    steps = iter([ContinueRun(), StopRun(reason="enough")])
    monkeypatch.setattr(
        "ecotui.engine.control.time.sleep", lambda _: append_command(harness.path, next(steps))
    )
    with pytest.raises(StopRequested, match="enough"):
        harness.control.poll(1)
    assert ("continue_run", False) in answers(harness.events)
    # What is saved now is saved from where it lies: there may still be no room for it.
    assert desk.done == ["free", "take back"]


def test_a_signal_ends_a_pause_and_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(tmp_path)
    append_command(harness.path, PauseRun())

    def signalled(seconds: float) -> None:
        harness.flag.reason = "received SIGTERM"

    monkeypatch.setattr("ecotui.engine.control.time.sleep", signalled)
    with pytest.raises(StopRequested, match="SIGTERM"):
        harness.control.poll(1)


def test_a_run_that_stands_nowhere_cannot_go_on(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    append_command(harness.path, ContinueRun())
    harness.control.poll(1)
    assert answers(harness.events) == [("continue_run", False)]


def test_changes_wait_for_the_training_and_are_refused_after_it(tmp_path: Path) -> None:
    harness, desk = Harness(tmp_path), FakeDesk()
    append_command(harness.path, ExtendRun(epochs=3))
    harness.control.poll(0)
    assert harness.events == []
    harness.control.open_desk(desk)
    assert answers(harness.events) == [("extend_run", True)]
    harness.control.close_desk("the training is over")
    for late in (ExtendRun(epochs=4), SaveCheckpoint(), StopRun(after_epoch=True)):
        append_command(harness.path, late)
    harness.control.poll(9)
    assert [accepted for _, accepted in answers(harness.events)] == [True, False, False, False]
    assert desk.done == ["extend_run"]


def test_a_stop_after_the_epoch_waits_for_its_end_and_a_plain_one_does_not(
    tmp_path: Path,
) -> None:
    harness = Harness(tmp_path)
    append_command(harness.path, StopRun(reason="tonight", after_epoch=True))
    harness.control.poll(1)
    with pytest.raises(StopRequested, match="tonight") as caught:
        harness.control.end_epoch()
    assert caught.value.is_saved
    append_command(harness.path, StopRun(reason="now"))
    with pytest.raises(StopRequested, match="now") as caught:
        harness.control.poll(2)
    assert not caught.value.is_saved


def test_the_end_of_the_time_given_is_a_wish_to_stop(tmp_path: Path) -> None:
    now = [1000.0]
    deadline = Deadline(1060.0, wall_clock=lambda: 1000.0, clock=lambda: now[0])
    path = tmp_path / "commands.jsonl"
    events: list[Event] = []
    control = Control(path, 0, events.append, StopFlag(), deadline=deadline)
    control.poll(1)
    now[0] = 1056.0
    with pytest.raises(StopRequested) as caught:
        control.poll(2)
    assert (caught.value.reason, caught.value.saves_as) == ("time_limit", "time_limit")

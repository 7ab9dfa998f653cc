"""Requests are answered between steps, and every wish to stop becomes one exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.commands import DetachRun, SaveCheckpoint, StopRun, append_command
from ecotui.engine import control as control_module
from ecotui.engine.control import Control, StopFlag, StopRequested
from ecotui.events import CommandAnswered, Event


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

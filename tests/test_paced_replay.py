"""A log played again: at its pace, faster, by the step, to the next alert, to its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ecotui.errors import EcoError
from ecotui.paced_replay import ALERTS, MAX_GAP_SECONDS, SPEEDS, USUAL_SPEED, PacedReplay
from ecotui.paths import RunDir
from ecotui.stream import decode

Recorded = Callable[[str], RunDir]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def played(run: RunDir) -> tuple[PacedReplay, Clock]:
    clock = Clock()
    replay = PacedReplay(run, clock)
    replay.read()
    return replay, clock


def kinds(replay: PacedReplay) -> list[str]:
    return [event.kind for _, event in replay.read()]


def everything(replay: PacedReplay) -> list[str]:
    found: list[str] = []
    while part := kinds(replay):
        found += part
    return found


def test_it_says_all_that_was_said_and_in_order(recorded: Recorded) -> None:
    run = recorded("full_run")
    lines = run.events.read_bytes().splitlines()
    logged = [event.kind for line in lines if (event := decode(line)) is not None]
    replay = PacedReplay(run, Clock())
    first = kinds(replay)
    replay.to_end()
    assert first + everything(replay) == logged
    assert replay.ended
    assert run.path.is_dir()
    assert not replay.discard()


def test_time_passes_as_fast_as_the_speed_says(recorded: Recorded) -> None:
    counts, run = [], recorded("full_run")
    for steps in (-10, 0, 2):
        replay, clock = played(run)
        replay.change_speed(steps)
        clock.now += 0.5
        counts.append(len(replay.read()))
    assert counts[0] <= counts[1] < counts[2]
    assert USUAL_SPEED in SPEEDS


def test_nothing_is_said_before_its_time_nor_while_it_stands_still(recorded: Recorded) -> None:
    replay, clock = played(recorded("full_run"))
    assert replay.read() == []
    replay.turn_pause()
    clock.now += 1_000
    assert replay.read() == []
    assert "paused" in replay.words
    replay.turn_pause()
    assert replay.read() == []  # the time that it stood still is not made up for
    clock.now += 1
    assert replay.read()


def test_a_long_silence_is_cut(recorded: Recorded) -> None:
    run = recorded("stopped")
    lines = run.events.read_bytes().splitlines()
    moved = [
        line.replace(b'"at":1', b'"at":9', 1) if number > 5 else line
        for number, line in enumerate(lines)
    ]
    run.events.write_bytes(b"\n".join(moved) + b"\n")
    replay, clock = played(run)
    clock.now += 2 * MAX_GAP_SECONDS
    assert len(replay.read()) > 5


def test_a_step_is_one_event_and_it_stands_still_after_it(recorded: Recorded) -> None:
    replay, clock = played(recorded("full_run"))
    replay.step()
    assert len(replay.read()) == 1
    assert replay.is_paused
    clock.now += 100
    assert replay.read() == []


def test_it_goes_to_the_next_alert_and_stands_still_there(recorded: Recorded) -> None:
    replay, _ = played(recorded("full_run"))
    assert replay.to_alert()
    assert everything(replay)[-1] in ALERTS
    assert replay.is_paused
    while replay.to_alert():
        everything(replay)
    assert not replay.ended


def test_a_log_that_cannot_be_read_is_told(recorded: Recorded) -> None:
    run = recorded("full_run")
    run.events.unlink()
    with pytest.raises(EcoError, match="cannot be read"):
        PacedReplay(run)


def test_lines_that_are_none_are_counted(recorded: Recorded) -> None:
    run = recorded("full_run")
    run.events.write_bytes(b"{nonsense\n" + run.events.read_bytes())
    replay, _ = played(run)
    assert replay.num_unknown_lines == 1

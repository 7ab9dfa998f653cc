"""A run read from its beginning: few frames while there is much to read, all of it in the end."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from benchmarks.parts.day_long import write
from ecotui import following
from ecotui.events import AnyEvent, CommandAnswered, RunStopped
from ecotui.following import Batch, batches
from ecotui.log_lines import PackedLines
from ecotui.pacing import Pace
from ecotui.paths import RunDir
from ecotui.session import attach
from ecotui.state import RunState, fold
from ecotui.stream import Tail

EVENTS = 6_000


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Return a run of some thousand events, with an answer among them, that has ended."""
    run = RunDir(tmp_path)
    run.job.write_text("{}")
    write(run.events, EVENTS)
    answer = CommandAnswered(command_id="1", command="pause_run", accepted=False, why="no")
    end = RunStopped(reason="asked", epoch=1, step=1, checkpoint=None)
    with run.events.open("ab") as file:
        for event in (answer, end):
            file.write(event.model_dump_json().encode() + b"\n")
    return run


def followed(run: RunDir, alerts: PackedLines, per_second: float = 30.0) -> list[Batch]:
    async def follow() -> list[Batch]:
        pace = Pace(per_second, time.monotonic)
        return [each async for each in batches(attach(run), pace, alerts, lambda: 0)]

    return asyncio.run(follow())


def test_all_is_there_in_the_end(run: RunDir) -> None:
    alerts = PackedLines()
    found = followed(run, alerts)
    events: list[AnyEvent] = []
    tail = Tail(run.events)
    while more := tail.read():
        events += [event for _, event in more]
    assert found[-1].state == reduce(fold, events, RunState())
    assert len(alerts) == found[-1].state.num_alerts + found[-1].state.num_set_aside + sum(
        event.kind == "guard_recovered" for event in events
    )


def test_only_what_may_answer_is_handed_on(run: RunDir) -> None:
    found = followed(run, PackedLines())
    kinds = {event.kind for each in found for event in each.events}
    assert "command_answered" in kinds
    assert kinds <= {"engine_started", "command_answered", "checkpoint_saved"}


def test_while_there_is_much_to_read_few_frames_are_drawn(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "READING_SECONDS", 0.0)  # A bite, then whoever waits is asked.
    monkeypatch.setattr(following, "CATCHING_UP_SECONDS", 60.0)
    found = followed(run, PackedLines(), per_second=1_000.0)
    assert len(found) <= 3
    assert found[0].state.num_alerts < found[-1].state.num_alerts


def seen_while_followed(run: RunDir, look: Callable[[], float]) -> float:
    async def follow() -> float:
        found = batches(attach(run), Pace(30.0, time.monotonic), PackedLines(), lambda: 0)
        await anext(found)
        seen = look()
        await found.aclose()  # type: ignore[attr-defined]
        return seen

    return asyncio.run(follow())


def test_what_is_there_at_the_start_is_not_searched_for_garbage(run: RunDir) -> None:
    assert seen_while_followed(run, gc.get_freeze_count)
    assert not gc.get_freeze_count()


def test_threads_take_short_turns_while_a_run_is_read(run: RunDir) -> None:
    before = sys.getswitchinterval()
    seen = seen_while_followed(run, sys.getswitchinterval)
    assert seen == pytest.approx(following.TURN_SECONDS)
    assert sys.getswitchinterval() == pytest.approx(before)

"""Reading a run from its first event to its last, folded, one batch a frame.

Reading and folding happen in a thread, bite by bite, so that a burst of a hundred thousand
events keeps no key waiting. Knows no screen.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import get_args

from ecotui.asking import ANSWERING_KINDS
from ecotui.events import AnyEvent, SampleSetAside
from ecotui.log_lines import PackedLines
from ecotui.pacing import Pace
from ecotui.run_state import RunState
from ecotui.session_factory import EngineSession
from ecotui.standing import Alert
from ecotui.state import fold

CATCHING_UP_SECONDS = 1.0
"""To the second frame where there is more to read than can be read at once; then twice as long
each time, for drawing takes the time of reading, above all on a machine with much else to do."""
READING_SECONDS = 0.05
"""So long the thread reads on before it asks whether a frame is due."""
TURN_SECONDS = 0.001
"""So long either thread computes before the other one may: with Python's 5 ms the app, drawing amid
much to read, kept keys waiting for up to 50."""
READ_INTERVAL_SECONDS = 0.1
"""Between two looks at a log in which nothing was new."""


@dataclass(slots=True)
class Batch:
    """What was read since the last batch.

    Attributes:
        state: The run after it.
        events: Those that may answer what was asked, in the order they came.
    """

    state: RunState
    events: list[AnyEvent] = field(default_factory=list)


async def batches(
    session: EngineSession, pace: Pace, alerts: PackedLines, backlog: Callable[[], int]
) -> AsyncIterator[Batch]:
    """Yield a batch a frame, until the last event of the run was read.

    Args:
        session: Of the run.
        pace: When the next frame is due.
        alerts: Takes the line of every alert and every sample set aside.
        backlog: Returns how many frames the terminal has not taken yet.
    """
    # What is there by now stays: looking through it for garbage would keep keys waiting for 20 ms.
    gc.freeze()
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        async for batch in _batches(session, pace, alerts, backlog):
            yield batch
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


async def _batches(
    session: EngineSession, pace: Pace, alerts: PackedLines, backlog: Callable[[], int]
) -> AsyncIterator[Batch]:
    batch, shown_at, num_new = Batch(RunState()), -float("inf"), 1
    patience_seconds = CATCHING_UP_SECONDS
    while True:
        num_read, has_more = await asyncio.to_thread(_read_on, session, batch, alerts)
        num_new += num_read
        now = time.monotonic()
        is_over = session.ended and not num_read
        interval = max(pace.interval_seconds, patience_seconds if has_more else 0.0)
        is_due = now - shown_at >= interval and pace.may_draw(backlog())
        if is_over or (num_new and is_due):
            state = replace(batch.state, num_unknown_lines=session.num_unknown_lines)
            yield Batch(state, batch.events)
            batch, shown_at, num_new = Batch(state), now, 0
            patience_seconds = patience_seconds * 2 if has_more else CATCHING_UP_SECONDS
        if is_over:
            return
        await asyncio.sleep(0 if num_read else READ_INTERVAL_SECONDS)


def _read_on(session: EngineSession, batch: Batch, alerts: PackedLines) -> tuple[int, bool]:
    """Read bites for a moment; return how many events, and whether there may be more."""
    deadline, num_read = time.monotonic() + READING_SECONDS, 0
    # Events hold nothing that leads back to them: looking for that takes a tenth of the time.
    gc.disable()
    try:
        while found := _read(session, batch, alerts):
            num_read += found
            if time.monotonic() > deadline:
                return num_read, True
    finally:
        gc.enable()
    return num_read, False


def _read(session: EngineSession, batch: Batch, alerts: PackedLines) -> int:
    found, state = session.read(), batch.state
    for line, event in found:
        state = fold(state, event)
        kind = event.kind
        if kind in _REMARKABLE:
            alerts.add(line.decode("utf-8", "replace") or event.model_dump_json())
        if kind in ANSWERING_KINDS:
            batch.events.append(event)
    batch.state = state
    return len(found)


_REMARKABLE = frozenset(
    each.model_fields["kind"].default for each in (*get_args(Alert), SampleSetAside)
)

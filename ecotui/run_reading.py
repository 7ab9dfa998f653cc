"""A run's state from its whole log, in a bounded time however long the run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import reduce

from ecotui import lock
from ecotui.events import AnyEvent, EngineLost
from ecotui.paths import RunDir
from ecotui.session import SECONDS_TO_TAKE_THE_LOCK, last_words
from ecotui.state import RunState, fold
from ecotui.stream import MAX_LINE_BYTES, PROGRESS_KINDS, decode

MAX_PROGRESS_LINES = 4_000
"""So many reports of progress are decoded: evenly spread, and the newest ones. Each takes
some 10 microseconds, and a day of training has 200,000."""
NEWEST_LINES = 200
_MARKS = tuple(f'{{"kind":"{kind}"'.encode() for kind in sorted(PROGRESS_KINDS))


def read_state(run: RunDir) -> RunState:
    """Return a run as its log has it; an engine that is gone without a last word is lost.

    Raises:
        OSError: The log is there and cannot be read.
    """
    # Looked at before the log: an engine may end in between, and never the other way.
    is_alive = lock.is_held(run.lock)
    state = reduce(fold, _events(run), RunState())
    if is_alive or state.ending is not None or (state.attempt == 0 and _is_young(run)):
        return state
    lost = EngineLost(
        at=state.heard_at, last_words=last_words(run.log), checkpoint=state.last_checkpoint
    )
    return fold(state, lost)


def _is_young(run: RunDir) -> bool:
    """Say whether an engine that was just started may not have begun yet."""
    try:
        return time.time() - run.job.stat().st_mtime < SECONDS_TO_TAKE_THE_LOCK
    except OSError:
        return False


def _events(run: RunDir) -> Iterator[AnyEvent]:
    try:
        with run.events.open("rb") as file:
            count = sum(line.startswith(_MARKS) for line in file)
            file.seek(0)
            stride = max(1, count // MAX_PROGRESS_LINES)
            place, is_first = 0, True
            for line in file:
                if not line.endswith(b"\n"):
                    return
                if line.startswith(_MARKS):
                    place += 1
                    # The first one after anything else begins the reckoning of the pace.
                    is_kept = is_first or place % stride == 0 or count - place < NEWEST_LINES
                    is_first = False
                    if not is_kept:
                        continue
                else:
                    is_first = True
                event = decode(line) if len(line) <= MAX_LINE_BYTES else None
                if event is not None:
                    yield event
    except FileNotFoundError:
        return

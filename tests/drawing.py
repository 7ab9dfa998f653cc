"""What an app under a pilot shows, once nothing in it moves any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import textual._wait
from textual.pilot import Pilot

from tests.screens.looks import text_on

SECONDS = 30.0
"""Until what is waited for has come, or never will."""
LOOKS = 3
"""So many looks in a row show the same before a screen is taken for still: one layout may ask
for another, and does so within a look."""

# After each key a pilot looks in steps of 20 ms whether the process is idle, and most of the time
# of a test would go into them. What is waited for here is more than that.
textual._wait.SLEEP_GRANULARITY = 1 / 250
textual._wait.SLEEP_IDLE = 1 / 1000


async def stand_still(pilot: Pilot[Any], is_heard: Callable[[], bool] = lambda: True) -> str:
    """Wait until the app has heard everything and its screen no longer changes; return it.

    Conditions rather than a time: on a busy machine no time is long enough.

    Args:
        pilot: Of the app.
        is_heard: Says whether all that the app is to show has reached it.
    """
    deadline = time.monotonic() + SECONDS
    while not is_heard():
        assert time.monotonic() < deadline, "the app has not heard what it is to show"
        await asyncio.sleep(0.005)
    looks: list[str] = []
    while len(looks) < LOOKS:
        assert time.monotonic() < deadline, f"the screen never stood still: {looks[-1]}"
        await pilot.pause()
        look = text_on(pilot.app)
        looks = [*looks, look] if looks[-1:] == [look] else [look]
    return looks[-1]

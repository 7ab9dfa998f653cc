"""How often the screen is drawn anew: as often as asked for, less while the terminal lags.

Two signs are looked at, both from outside the network. Frames that wait to be written say that
the terminal takes bytes more slowly than they are made. The time in which it answers a query,
sent along with a frame, says how long a frame is on its way: on a slow link that is far more than
the time between two of them. Reads no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable

LOCAL_PER_SECOND = 10.0
SLOW_PER_SECOND = 1.0
MAX_BACKLOG = 2
"""So many frames may wait to be written; with more, none is added."""
QUERY_INTERVAL_SECONDS = 5.0
"""Between two queries: 9 bytes now and then, and none while nothing is drawn."""
LAG_SECONDS = 0.5
"""An answer that takes longer is one of a slow link: keys are felt to lag well before."""
EASE_SECONDS = 0.15
"""An answer within this time makes the link a fast one again."""
CALM_FRAMES = 20
"""So many frames in a row without a backlog, and the pace rises again."""


class Pace:
    """When the next frame is due.

    Args:
        most_per_second: Frames a second while the terminal keeps up; above 0.
        clock: Monotonic seconds.
    """

    def __init__(self, most_per_second: float, clock: Callable[[], float]) -> None:
        self._shortest = 1.0 / most_per_second
        self._longest = max(self._shortest, 1.0 / SLOW_PER_SECOND)
        self._clock = clock
        self._interval = self._shortest
        self._calm = 0
        self._asked_at: float | None = None
        self._next_query = 0.0
        self._answers = False

    @property
    def interval_seconds(self) -> float:
        """Seconds from one frame to the next, as things are."""
        return self._interval

    def may_draw(self, backlog: int) -> bool:
        """Say whether another frame may be made, and learn from how many wait.

        Args:
            backlog: Frames made and not yet taken by the terminal.
        """
        late = self._answers and self._asked_at is not None
        if late and self._clock() - (self._asked_at or 0.0) > LAG_SECONDS:
            self._slow_down()
        if backlog > MAX_BACKLOG:
            self._slow_down()
            return False
        self._calm = self._calm + 1 if backlog == 0 else 0
        if self._calm >= CALM_FRAMES and not late:
            self._calm = 0
            self._interval = max(self._shortest, self._interval / 2)
        return True

    def should_ask(self) -> bool:
        """Say whether the terminal is to be queried along with this frame."""
        now = self._clock()
        if now < self._next_query or (self._asked_at is not None and self._answers):
            return False
        self._asked_at = now
        self._next_query = now + QUERY_INTERVAL_SECONDS
        return True

    def answered(self) -> None:
        """Note that the terminal has answered a query."""
        asked_at, self._asked_at = self._asked_at, None
        self._answers = True
        if asked_at is None:
            return
        took = self._clock() - asked_at
        if took > LAG_SECONDS:
            self._slow_down()
        elif took < EASE_SECONDS:
            self._interval = self._shortest

    def _slow_down(self) -> None:
        self._calm = 0
        self._interval = min(self._longest, self._interval * 2)

"""A run's log played again at any speed, in the place of an engine.

It reads the log and nothing else: nothing can be asked of it, and the run it is of is left alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ecotui.commands import Command
from ecotui.errors import EcoError
from ecotui.events import AnyEvent
from ecotui.paths import RunDir
from ecotui.stream import decode
from ecotui.text import visible

SPEEDS = (1, 2, 5, 10, 25, 50, 100, 250, 1_000)
USUAL_SPEED = 10
MAX_GAP_SECONDS = 5.0
"""A longer silence of the log is cut to this: a pause of a night is no part of the story."""
MAX_EVENTS_A_READ = 2_000
ALERTS = frozenset({"guard_tripped", "health_alerted", "incident_recorded", "saving_failed"})
_DULL = frozenset({"heartbeat", "machine_measured"})


class PacedReplay:
    """A session whose engine says again what it once said, faster or slower.

    Keys and the reading worker meet here, each in a thread of its own.

    Args:
        run: Whose log is played.
        clock: Returns seconds; it is injected for tests.

    Attributes:
        run: Its directory.
        num_unknown_lines: Lines of the log that this version does not know, so far.
        is_replay: Always; what tells this session from one with an engine.
    """

    is_replay = True

    def __init__(self, run: RunDir, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self.num_unknown_lines = 0
        try:
            self._lines = run.events.read_bytes().splitlines()
        except OSError as error:
            raise EcoError(
                f"the log of {run.run_id} cannot be read: {visible(error.strerror)}",
                "a run with an events.jsonl",
                "choose another run: ecotui runs",
            ) from None
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._at = 0
        self._position = 0.0
        self._log_time: float | None = None
        self._due = 0.0
        self._speed = USUAL_SPEED
        self._is_paused = False
        self._is_unbound = False
        self._steps = 0
        self._sought: frozenset[str] | None = None

    @property
    def ended(self) -> bool:
        """Whether the whole log was played."""
        return self._at >= len(self._lines)

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._is_paused

    @property
    def words(self) -> str:
        """How it is played, and how far it is."""
        share = f"{int(100 * self._at / max(1, len(self._lines)))}%"
        return f"replay {'paused' if self._is_paused else f'{self._speed}x'} {share}"

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        """Return the events that have come due since the last reading."""
        with self._lock:
            self._go_on()
            found: list[tuple[bytes, AnyEvent]] = []
            while not self.ended and len(found) < MAX_EVENTS_A_READ:
                line = self._lines[self._at]
                event = decode(line)
                if event is None:
                    self._at += 1
                    self.num_unknown_lines += 1
                    continue
                if not self._is_due(event):
                    break
                self._at += 1
                found.append((line, event))
                self._note(event)
            return found

    def _go_on(self) -> None:
        now = self._clock()
        if self._read_at is not None and not self._is_paused:
            self._position += (now - self._read_at) * self._speed
        self._read_at = now

    def _is_due(self, event: AnyEvent) -> bool:
        gap = 0.0 if self._log_time is None else max(0.0, event.at - self._log_time)
        due = self._due + min(gap, MAX_GAP_SECONDS)
        if self._is_unbound or self._sought is not None or self._steps:
            self._position = max(self._position, due)
        return due <= self._position

    def _note(self, event: AnyEvent) -> None:
        gap = 0.0 if self._log_time is None else max(0.0, event.at - self._log_time)
        self._due += min(gap, MAX_GAP_SECONDS)
        self._log_time = event.at
        if self._steps and event.kind not in _DULL:
            self._steps -= 1
            self._is_paused = self._is_paused or not self._steps
        if self._sought is not None and event.kind in self._sought:
            self._sought = None
            self._is_paused = True

    # What a person can do -------------------------------------------------------------------------

    def turn_pause(self) -> None:
        """Stand still, or go on."""
        with self._lock:
            self._is_paused = not self._is_paused
            self._is_unbound, self._sought = False, None

    def change_speed(self, by: int) -> None:
        """Go faster, or slower where `by` is negative; a step of `SPEEDS` each."""
        with self._lock:
            place = SPEEDS.index(self._speed) + by
            self._speed = SPEEDS[min(len(SPEEDS) - 1, max(0, place))]
            self._is_paused = False

    def step(self) -> None:
        """Play one event more, and stand still."""
        with self._lock:
            self._is_paused = True
            self._steps += 1

    def to_alert(self) -> bool:
        """Go on to the next alert and stand still there; False where none is left."""
        marks = tuple(f'{{"kind":"{kind}"'.encode() for kind in ALERTS)
        with self._lock:
            is_left = any(line.startswith(marks) for line in self._lines[self._at :])
            if is_left:
                self._sought = ALERTS
            return is_left

    def to_end(self) -> None:
        """Play all that is left at once."""
        with self._lock:
            self._is_paused, self._is_unbound = False, True

    # What a session has and a recording has not ---------------------------------------------------

    def request(self, command: Command) -> None:
        """Take no request: there is no engine."""

    def wait_until_gone(self) -> bool:
        """Say that no process is left."""
        return True

    def discard(self) -> bool:
        """Say that nothing was removed."""
        return False

"""What can be seen of a run from outside, while it lives and after it died."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Literal

from ecotui.events import AnyEvent
from ecotui.paths import RunDir
from ecotui.stream import Tail
from tests.faults.engines import Engine

Place = Literal["step", "save", "retention", "evaluation", "loader start", "engine start"]
"""Where an engine can be when it dies. `engine start`: before its loop, with the checkpoint being
read; `loader start`: the first batch of an attempt is not trained on yet."""

WRITING, DROPPING = ".tmp-", ".del-"
GLANCE_SECONDS = 0.0005
PATIENCE_SECONDS = 60.0


class Watch:
    """Follows the events of a run over all its attempts, and its folder of checkpoints."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.events: list[AnyEvent] = []
        self._tail = Tail(run.events)
        self._attempt_begins = 0

    def begin_attempt(self) -> None:
        """Count what comes from here on as the next attempt."""
        self.read()
        self._attempt_begins = len(self.events)

    def read(self) -> None:
        """Take in every event that is there by now."""
        while found := self._tail.read():
            self.events += [event for _, event in found]

    @property
    def num_unknown(self) -> int:
        """Lines that were no events."""
        return self._tail.num_unknown

    @property
    def attempt(self) -> list[AnyEvent]:
        """What the present attempt has stated."""
        return self.events[self._attempt_begins :]

    def count(self, kind: str) -> int:
        """Return how often the present attempt has stated a kind."""
        return sum(event.kind == kind for event in self.attempt)

    def names(self) -> list[str]:
        """Return what lies in the folder of checkpoints."""
        try:
            return os.listdir(self.run.checkpoints)
        except FileNotFoundError:
            return []

    def has_entry(self, prefix: str) -> bool:
        """Say whether something being written, or being dropped, lies there."""
        return any(name.startswith(prefix) for name in self.names())

    def is_in_stage(self, stage: str) -> bool:
        """Say whether a stage of the present attempt has begun and not ended."""
        for event in reversed(self.attempt):
            if event.kind == "stage_finished" and event.stage == stage:
                return False
            if event.kind == "stage_started" and event.stage == stage:
                return True
        return False

    def wait_until(self, engine: Engine, is_there: Callable[[], bool]) -> bool:
        """Wait for something to be seen; False where the engine ended before.

        Raises:
            AssertionError: The engine lives on, and it does not come.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.read()
            if is_there():
                return True
            if engine.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"it never came; last: {self.events[-3:]}"
            time.sleep(GLANCE_SECONDS)


def places(watch: Watch) -> set[Place]:
    """Say where a dead engine was, from what it left; more than one with a background save."""
    watch.read()
    found: set[Place] = set()
    if watch.has_entry(DROPPING):
        found.add("retention")
    if watch.has_entry(WRITING):
        found.add("save")
    if watch.is_in_stage("validate") or watch.is_in_stage("test"):
        found.add("evaluation")
    if watch.count("epoch_started") == 0:
        found.add("engine start")
    elif watch.count("steps_taken") == 0:
        found.add("loader start")
    return found or {"step"}


def stated(events: Iterable[AnyEvent], kind: str) -> list[str]:
    """Return the paths that events of a kind name, in order."""
    return [str(getattr(event, "path", "")) for event in events if event.kind == kind]

"""How long a batch may take, what is blamed when it does not come, and how often to begin anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ecotui.engine.data.pool import LoaderFault
from ecotui.errors import EcoError

MAX_REBUILDS = 3
"""Rebuilds in a series. Source: NVRx and Ultralytics restart three times, then give up."""

GOOD_BATCHES = 1_000
"""After so many batches without a fault, a series is over."""

MAX_BLAMES = 2
"""A sample that took down so many workers in a row is set aside."""

P99_FACTOR = 10
_MAX_WAITS = 1_000


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A loader was started anew at the same batch.

    Attributes:
        what: What had happened, with the file, fit to be shown.
        workers_before: How many read before.
        workers: How many read now.
        rebuilds_left: How often this may happen again.
    """

    what: str
    workers_before: int
    workers: int
    rebuilds_left: int


class LoaderFaultError(EcoError):
    """Reading goes wrong again and again; the state can be saved and resumed."""

    def __init__(self, what: str, rebuilds: int) -> None:
        super().__init__(
            f"the photos can no longer be read: {what}",
            f"workers that read on after {rebuilds} new starts",
            "see engine.log for what each process was at, look at the disk and the free memory, "
            "then go on from the checkpoint: ecotui resume",
        )


def _nobody() -> None:
    return


def _unheard(_: Rebuilt) -> None:
    return


@dataclass(slots=True)
class Supervision:
    """What all loaders of a run share.

    Attributes:
        patience_seconds: Without a sign of life for so long a worker counts as hung, at least.
        first_patience_seconds: The same before its first batch.
        attend: Called at least twice a second while waiting; what it raises goes through.
        tell: Called when a loader was started anew.
        rebuilds_left: In this series of faults.
        good_batches: Since the last fault.
        in_process_seconds: How long a file may take where no worker reads it; None: for ever.
    """

    patience_seconds: float = 60.0
    first_patience_seconds: float = 1_800.0
    attend: Callable[[], None] = _nobody
    tell: Callable[[Rebuilt], None] = _unheard
    rebuilds_left: int = MAX_REBUILDS
    good_batches: int = 0
    in_process_seconds: float | None = None

    def note_good(self) -> None:
        """Count a batch that came; enough of them end a series of faults."""
        self.good_batches += 1
        if self.good_batches >= GOOD_BATCHES:
            self.rebuilds_left = MAX_REBUILDS

    def spend(self, what: str) -> None:
        """Take one of the rebuilds left.

        Raises:
            LoaderFaultError: There is none.
        """
        self.good_batches = 0
        if self.rebuilds_left == 0:
            raise LoaderFaultError(what, MAX_REBUILDS)
        self.rebuilds_left -= 1

    def give_back(self, count: int) -> None:
        """Return rebuilds whose cause was found and removed."""
        self.rebuilds_left = min(MAX_REBUILDS, self.rebuilds_left + count)


@dataclass(slots=True)
class Patience:
    """How long one loader's batches may take, by how long they took so far.

    Args:
        limits: The shortest patience is theirs.
        clock: Monotonic seconds.
    """

    limits: Supervision
    clock: Callable[[], float] = time.monotonic
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_WAITS))
    _first_seconds: float | None = None

    def note(self, seconds: float) -> None:
        """Count a wait that ended with a batch."""
        if self._first_seconds is None:
            self._first_seconds = seconds
        self._waits.append(seconds)

    def seconds(self, *, is_fresh: bool) -> float:
        """Return how long a worker may show no sign of life.

        Args:
            is_fresh: No batch has come since the workers were started: as long as the
                first one of all took is then granted as well, ten times.
        """
        if self._first_seconds is None:
            return max(self.limits.first_patience_seconds, self.limits.patience_seconds)
        ordered = sorted(self._waits)
        slow = ordered[int(0.99 * (len(ordered) - 1))]
        if is_fresh:
            slow = max(slow, self._first_seconds)
        return max(self.limits.patience_seconds, P99_FACTOR * slow)


@dataclass(slots=True)
class Blame:
    """Which samples took workers down, since they were last read."""

    _counts: dict[int, int] = field(default_factory=dict)

    def put(self, fault: LoaderFault) -> bool:
        """Count a fault, and say whether its sample has had its chances."""
        if fault.sample_id is None:
            return False
        count = self._counts.get(fault.sample_id, 0) + 1
        self._counts[fault.sample_id] = count
        return count >= MAX_BLAMES

    def clear(self, sample_id: int) -> None:
        """Forget a sample that was read after all, or is read no more."""
        self._counts.pop(sample_id, None)


def fewer_workers(workers: int, fault: LoaderFault) -> int:
    """Return how many workers to go on with.

    Half as many; none only where workers can do no work at all. What hangs or
    kills a worker would hang or kill the engine that reads by itself.
    """
    half = workers // 2
    return half if fault.kind == "failed" else max(1, half)

"""Beside the layers: a run that gets slower than it was, and one that waits for its photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ecotui.engine.guards.guard import Verdict
from ecotui.text import percent
from ecotui.watch_settings import WatchConfig

THROUGHPUT = "throughput"
STARVED = "starved_loader"
LEAST_PAST = 3
"""Epochs that a median is taken of; fewer say little of what is usual."""
BUSY_FRACTION = 0.85
"""From there on the processors have no time left for more workers."""


@dataclass(frozen=True, slots=True)
class PaceReading:
    """How fast an epoch was.

    Attributes:
        images_per_second: Of this epoch, the median of its readings.
        past: The same of earlier epochs of this attempt, the first one left out.
    """

    images_per_second: float
    past: Sequence[float]


@dataclass(frozen=True, slots=True)
class SupplyReading:
    """How long photos were waited for.

    Attributes:
        wait_fraction: Share of the time, 0 to 1.
        seconds: Over which it was taken.
        workers: Processes that read.
        processors: That this process may use.
        cpu_fraction: How busy they are, 0 to 1; None where unknown.
    """

    wait_fraction: float
    seconds: float
    workers: int
    processors: int
    cpu_fraction: float | None


def inspect(reading: PaceReading, limits: WatchConfig) -> Verdict | None:
    """Judge an epoch's pace against the run's own past."""
    if len(reading.past) < LEAST_PAST:
        return None
    usual = median(reading.past)
    if reading.images_per_second >= limits.slow_pace_fraction * usual:
        return None
    return Verdict(
        1,
        THROUGHPUT,
        "warning",
        f"this epoch made {reading.images_per_second:,.1f} images a second; "
        f"{usual:,.1f} are usual in this run",
        reading.images_per_second,
        limits.slow_pace_fraction * usual,
        "images a second",
        "look for other programs on the processors, the device or the disk, and at the "
        "temperature of the GPU",
        "none",
    )


def inspect_supply(reading: SupplyReading, limits: WatchConfig) -> Verdict | None:
    """Judge how long the device waits for photos, and say which remedy fits."""
    if reading.seconds < limits.starved_seconds or (
        reading.wait_fraction <= limits.starved_fraction
    ):
        return None
    return Verdict(
        1,
        STARVED,
        "warning",
        f"{percent(reading.wait_fraction, 0)} of the time goes by waiting for photos",
        reading.wait_fraction,
        limits.starved_fraction,
        "of the time",
        _remedy(reading),
        "none",
    )


def _remedy(reading: SupplyReading) -> str:
    is_busy = reading.cpu_fraction is not None and reading.cpu_fraction >= BUSY_FRACTION
    if is_busy:
        return (
            "the processors are all busy decoding: store the photos smaller, near to the size "
            "that the model sees, or give the run more processors"
        )
    if reading.workers < reading.processors:
        more = max(1, min(reading.processors, 2 * reading.workers))
        return (
            f"more workers read faster: ecotui stop, then ecotui resume RUN "
            f"--set compute.workers={more}"
        )
    return (
        "the processors are idle and the workers many, so it is the disk or the network: copy "
        "the photos to a local disk, where the system keeps them in its cache"
    )

"""Beside the layers: the host's memory, full or filling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.trends import Points, rising
from ecotui.text import bytes_size, duration, percent
from ecotui.watch_settings import WatchConfig

FULL = "host_memory"
GROWTH = "memory_growth"
NUM_LOOKS = 3
"""Looks running at which memory must be short: one alone may be a copy that goes again."""
SETTLED_SECONDS = 1_200.0
"""A shorter series has no trend: buffers, workers and caches fill up at the beginning."""
LEAST_GAIN_FRACTION = 0.03
"""Of the total; a smaller rise may be fragments of the allocator."""


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """What is known of the memory.

    Attributes:
        used: Bytes in use at the last looks, the newest last; of the host or its control group.
        total_bytes: Of the same.
        engine: Seconds and bytes that the engine and its workers held then.
    """

    used: Sequence[int]
    total_bytes: int
    engine: Points = ()


def inspect(reading: MemoryReading, limits: WatchConfig) -> Verdict | None:
    """Judge how much memory is in use.

    Source: 90% is where the loader's workers are halved elsewhere as well; from 97% on the
    kernel may end a process at any moment.
    """
    looks = reading.used[-NUM_LOOKS:]
    if len(looks) < NUM_LOOKS or reading.total_bytes <= 0:
        return None
    share = min(looks) / reading.total_bytes
    if share <= limits.warn_memory_fraction:
        return None
    is_critical = share > limits.max_memory_fraction
    return Verdict(
        1,
        FULL,
        "critical" if is_critical else "warning",
        f"{percent(share, 0)} of the host's {bytes_size(reading.total_bytes)} of memory are in use",
        share,
        limits.max_memory_fraction if is_critical else limits.warn_memory_fraction,
        "of the memory",
        "end other programs, or go on with fewer compute.workers: ecotui stop, then "
        "ecotui resume RUN --set compute.workers=1",
        "pause" if is_critical else "none",
    )


def inspect_growth(reading: MemoryReading, limits: WatchConfig) -> Verdict | None:
    """Judge whether the engine's memory grows towards the end of what there is."""
    trend = rising(reading.engine, least_seconds=SETTLED_SECONDS)
    if trend is None or trend.gain < LEAST_GAIN_FRACTION * reading.total_bytes:
        return None
    used = reading.used[-1] if reading.used else 0
    left = limits.max_memory_fraction * reading.total_bytes - used
    until = left / trend.per_second
    if until >= limits.memory_forecast_seconds:
        return None
    return Verdict(
        1,
        GROWTH,
        "warning",
        f"the engine's memory grows by {bytes_size(trend.per_second * 3_600)} an hour, and will "
        f"be full in {duration(max(0.0, until))}",
        max(0.0, until),
        limits.memory_forecast_seconds,
        "seconds",
        "fewer compute.workers hold less; a run that is stopped and resumed begins anew with "
        "little: ecotui stop, then ecotui resume RUN",
        "none",
    )

"""Beside the layers: no progress for longer than the run's own past explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.guards.guard import Verdict
from ecotui.text import duration
from ecotui.watch_settings import WatchConfig

STALL = "stall"
GRAVE_FACTOR = 10.0
"""A stall so many times as long as the limit is critical: it does not pass by itself."""
LOADER_FACTOR = 2.0
"""While photos are waited for: the loader's own supervision begins anew first, and tells so."""


@dataclass(frozen=True, slots=True)
class StallReading:
    """What is known of the run's progress.

    Attributes:
        silent_seconds: Since anything was done.
        past_seconds: What the last steps of this attempt took, in any order.
        is_waiting: Photos are waited for.
        save_seconds: What writing a checkpoint may take, in which nothing else is done.
    """

    silent_seconds: float
    past_seconds: Sequence[float]
    is_waiting: bool
    save_seconds: float = 0.0


def limit_seconds(reading: StallReading, limits: WatchConfig) -> float:
    """Return how long nothing may be done.

    Source: NVRx learns its time-outs from what was observed, times a factor, and grants
    the beginning much more.
    """
    if not reading.past_seconds:
        return max(limits.stall_seconds, limits.first_stall_seconds)
    ordered = sorted(reading.past_seconds)
    slow = ordered[max(0, math.ceil(0.99 * len(ordered)) - 1)]
    limit = max(limits.stall_seconds, limits.stall_factor * slow, reading.save_seconds)
    return limit * LOADER_FACTOR if reading.is_waiting else limit


def inspect(reading: StallReading, limits: WatchConfig) -> Verdict | None:
    """Judge how long nothing was done."""
    limit = limit_seconds(reading, limits)
    if reading.silent_seconds < limit:
        return None
    is_grave = reading.silent_seconds >= GRAVE_FACTOR * limit
    where = "waiting for photos" if reading.is_waiting else "in the middle of a step"
    advice = (
        "look at the disk and at the network that the photos come from"
        if reading.is_waiting
        else "look at the device (nvidia-smi) and at the other programs on this machine"
    )
    return Verdict(
        1,
        STALL,
        "critical" if is_grave else "warning",
        f"no progress for {duration(reading.silent_seconds)}, {where}",
        reading.silent_seconds,
        limit,
        "seconds",
        f"engine.log says where every thread stands; {advice}",
        "pause" if is_grave else "none",
    )

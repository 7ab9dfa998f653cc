"""Beside the layers: the disk where the run lies, full or filling."""

from __future__ import annotations

from dataclasses import dataclass

from ecotui.engine.guards.guard import Verdict
from ecotui.engine.guards.trends import Points, rising
from ecotui.text import bytes_size, duration
from ecotui.watch_settings import WatchConfig

ROOM = "disk_room"
FILLING_SECONDS = 600.0
"""A shorter series has no trend: somebody may unpack an archive."""
LEAST_LOSS_FRACTION = 0.5
"""Of a checkpoint's size; less than that may be this run's own log."""


@dataclass(frozen=True, slots=True)
class StorageReading:
    """What is known of the disk.

    Attributes:
        free_bytes: Where the run lies.
        save_bytes: Of one checkpoint, the best model included; 0 where unknown.
        taken: Seconds and bytes not free then, against any zero.
    """

    free_bytes: int
    save_bytes: int
    taken: Points = ()


def inspect(reading: StorageReading, limits: WatchConfig) -> Verdict | None:
    """Judge the room against what saving needs: a new checkpoint lies beside the old one."""
    if reading.save_bytes <= 0:
        return None
    room = reading.free_bytes / reading.save_bytes
    if room < limits.min_free_saves:
        return _short(reading, room, limits.min_free_saves, is_critical=True)
    if room < limits.warn_free_saves:
        return _short(reading, room, limits.warn_free_saves, is_critical=False)
    return _filling(reading, limits)


def _short(reading: StorageReading, room: float, limit: float, *, is_critical: bool) -> Verdict:
    return Verdict(
        1,
        ROOM,
        "critical" if is_critical else "warning",
        f"{bytes_size(reading.free_bytes)} are free where the run lies, and a checkpoint takes "
        f"{bytes_size(reading.save_bytes)}",
        room,
        limit,
        "checkpoints",
        "free some space there: ecotui runs shows what each run takes, ecotui delete RUN removes "
        "one; then ecotui continue",
        "pause" if is_critical else "none",
    )


def _filling(reading: StorageReading, limits: WatchConfig) -> Verdict | None:
    trend = rising(reading.taken, least_seconds=FILLING_SECONDS)
    if trend is None or trend.gain < LEAST_LOSS_FRACTION * reading.save_bytes:
        return None
    left = reading.free_bytes - limits.min_free_saves * reading.save_bytes
    until = left / trend.per_second
    if until >= limits.disk_forecast_seconds:
        return None
    return Verdict(
        1,
        ROOM,
        "warning",
        f"the disk of the run fills by {bytes_size(trend.per_second * 3_600)} an hour: in "
        f"{duration(until)} no checkpoint will have room",
        until,
        limits.disk_forecast_seconds,
        "seconds",
        "see what else is written there, and free some space",
        "none",
    )

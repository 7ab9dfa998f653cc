"""Whether a run keeps decoded pictures, and at which side: chosen once, as it changes pixels."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecotui.config import DataConfig
from ecotui.disk import free_bytes
from ecotui.engine.data.arrival import reading_seconds
from ecotui.engine.data.decode import DecodeError, read_size
from ecotui.engine.data.framing import Size
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.picture_cache import PictureCache, picture_bytes
from ecotui.engine.data.room import SPARED_BYTES
from ecotui.paths import user_cache
from ecotui.text import bytes_size, counted

SIDES = (2.0, 1.5)
"""Of a picture, in sides of the model's input. Below, small crops lose what the photo shows."""

MIN_EPOCHS = 3
"""With fewer, writing pictures costs more than reading them saves."""

MIN_PIXELS = 65_536
"""Of a photo, on average: smaller ones are decoded as fast as they are read."""

LARGE_PIXELS = 1_000_000
"""Of a photo, on average: decoding takes longer than any disk. Smaller ones, which grow when they
are decoded, are kept only where they fit into the memory that caches the disk."""

MIN_FRACTION = 0.2
"""Of large photos that do not all fit: with fewer kept, writing them is not worth it."""

_MEMORY_FRACTION = 0.5
_DISK_FRACTION = 0.5
_NUM_SAMPLED = 64
_PHOTO_SECONDS, _SAMPLING_SECONDS = 1.0, 5.0
"""That one photo's header is waited for, and all of them."""
_HEADER_BYTES = 262_144
"""Of a photo's beginning and end: its size is told there."""


@dataclass(frozen=True, slots=True)
class CacheChoice:
    """What was chosen.

    Attributes:
        is_on: Whether pictures are kept.
        side: Their shorter side, pixels.
        note: Why, for a person; empty where nothing was to choose.
    """

    is_on: bool
    side: int
    note: str = ""


def cache_folder() -> Path:
    """Return the folder of all pictures, in the user's cache."""
    return user_cache() / "pictures"


def choose_cache(
    config: DataConfig,
    index: DataIndex,
    poll: Callable[[], None] = lambda: None,
    *,
    image_size: int,
    epochs: int,
) -> CacheChoice:
    """Choose what the configuration leaves open; nothing is written.

    Args:
        config: The request.
        index: The data set; the headers of some photos are read, as far as they come soon.
        poll: Called while they are waited for; what it raises goes through.
        image_size: Side of the model's input, pixels.
        epochs: Of the run.
    """
    sides = [int(image_size * factor + 0.5) for factor in SIDES]
    if config.cache_side != "auto":
        sides = [config.cache_side]
    if config.cache != "auto":
        return CacheChoice(config.cache, sides[0])
    sizes = _sampled_sizes(index, poll) if epochs >= MIN_EPOCHS else []
    pixels = float(np.mean([width * height for width, height in sizes])) if sizes else 0.0
    if pixels < MIN_PIXELS:
        return CacheChoice(False, sides[0])
    is_large = pixels >= LARGE_PIXELS
    limit = _limit(config, is_large=is_large)
    count = sum(len(ids) for split, ids in index.splits.items() if split != "test")
    needed = {
        side: count * float(np.mean([picture_bytes(size, side) for size in sizes]))
        for side in sides
    }
    for side in sides:
        if 0.0 < needed[side] <= limit:
            kept = f"{counted(count, 'photo')} are decoded once and kept"
            return CacheChoice(True, side, _told(kept, side, needed[side]))
    side = sides[-1]
    fraction = limit / needed[side] if needed[side] else 0.0
    # Where the disk is what limits it, a part of the photos would fill the disk.
    is_capped = limit == config.cache_gb * 1e9
    if is_large and is_capped and fraction >= MIN_FRACTION:
        kept = f"{fraction:.0%} of {counted(count, 'photo')} fit, are decoded once and kept"
        return CacheChoice(True, side, _told(kept, side, limit))
    return CacheChoice(False, sides[0])


def _told(kept: str, side: int, num_bytes: float) -> str:
    return (
        f"data.cache = true: {kept} with a shorter side of {side} pixels, "
        f"about {bytes_size(int(num_bytes))} in the user's cache"
    )


def picture_cache(
    config: DataConfig, index: DataIndex, folder: Path | None = None
) -> PictureCache | None:
    """Return the cache of a run whose configuration has been decided; None where it has none."""
    if config.cache is not True or config.cache_side == "auto":
        return None
    return PictureCache(
        folder or cache_folder(),
        side=config.cache_side,
        cap_bytes=int(config.cache_gb * 1e9),
        max_pixels=config.max_pixels,
        num_samples=len(index.names),
    )


def _sampled_sizes(index: DataIndex, poll: Callable[[], None]) -> list[Size]:
    count = len(index.names)
    deadline = time.monotonic() + _SAMPLING_SECONDS
    sizes = []
    for sample_id in np.unique(np.linspace(0, count - 1, min(count, _NUM_SAMPLED)).astype(int)):
        path = index.path_of(int(sample_id))
        patience = min(_PHOTO_SECONDS, deadline - time.monotonic())
        if patience <= 0.0:
            break
        # What comes is in the system's cache then: the decoder does not wait for it.
        if reading_seconds(path, patience, poll, most_bytes=_HEADER_BYTES) is None:
            continue
        try:
            sizes.append(read_size(path))
        except DecodeError:
            continue
    return sizes


def _limit(config: DataConfig, *, is_large: bool) -> float:
    """Return how many bytes of pictures may be kept."""
    limit = config.cache_gb * 1e9
    folder = cache_folder()
    # Not `Path.is_dir`, which raises where a folder of somebody else's may not be looked into.
    present = next(each for each in (folder, *folder.parents) if os.path.isdir(each))
    if not os.access(present, os.W_OK | os.X_OK):
        return 0.0
    try:
        free = free_bytes(present)
        if free is not None:
            limit = min(limit, (free - SPARED_BYTES) * _DISK_FRACTION)
        if not is_large:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            limit = min(limit, memory * _MEMORY_FRACTION)
    except (OSError, ValueError):  # the latter where a system does not tell its memory
        return 0.0
    return limit

"""Whether a run keeps decoded pictures, and at which side: chosen once, as it changes pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecotui.config import DataConfig
from ecotui.disk import free_bytes
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

_MEMORY_FRACTION = 0.5
_DISK_FRACTION = 0.5
_NUM_SAMPLED = 64


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
    config: DataConfig, index: DataIndex, *, image_size: int, epochs: int
) -> CacheChoice:
    """Choose what the configuration leaves open; nothing is written.

    Args:
        config: The request.
        index: The data set; the headers of some photos are read.
        image_size: Side of the model's input, pixels.
        epochs: Of the run.
    """
    sides = [int(image_size * factor + 0.5) for factor in SIDES]
    if config.cache_side != "auto":
        sides = [config.cache_side]
    if config.cache != "auto":
        return CacheChoice(config.cache, sides[0])
    sizes = _sampled_sizes(index) if epochs >= MIN_EPOCHS else []
    pixels = float(np.mean([width * height for width, height in sizes])) if sizes else 0.0
    if pixels < MIN_PIXELS:
        return CacheChoice(False, sides[0])
    limit = _limit(config, is_large=pixels >= LARGE_PIXELS)
    count = sum(len(ids) for split, ids in index.splits.items() if split != "test")
    for side in sides:
        needed = count * float(np.mean([picture_bytes(size, side) for size in sizes]))
        if 0.0 < needed <= limit:
            return CacheChoice(
                True,
                side,
                f"data.cache = true: {counted(count, 'photo')} are decoded once and kept with a "
                f"shorter side of {side} pixels, about {bytes_size(int(needed))} in "
                "the user's cache",
            )
    return CacheChoice(False, sides[0])


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


def _sampled_sizes(index: DataIndex) -> list[Size]:
    count = len(index.names)
    sizes = []
    for sample_id in np.unique(np.linspace(0, count - 1, min(count, _NUM_SAMPLED)).astype(int)):
        try:
            sizes.append(read_size(index.path_of(int(sample_id))))
        except DecodeError:
            continue
    return sizes


def _limit(config: DataConfig, *, is_large: bool) -> float:
    """Return how many bytes of pictures may be kept."""
    limit = config.cache_gb * 1e9
    present = next(each for each in (cache_folder(), *cache_folder().parents) if each.is_dir())
    try:
        free = free_bytes(present)
    except OSError:
        return 0.0
    if free is not None:
        limit = min(limit, (free - SPARED_BYTES) * _DISK_FRACTION)
    if not is_large:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = min(limit, memory * _MEMORY_FRACTION)
    return limit

"""Kept pictures of a few photos, seen from outside of the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.data import content, picture_cache, room
from ecotui.engine.data.picture_cache import Picture, PictureCache
from ecotui.engine.data.sources import open_source

SIDE = 48
CAP = 50_000_000
NUM_A_CLASS = 4
RECORD_BYTES = 64 + 64 * 48 * 3
"""Of a photo of 160 by 120."""
KEPT_BYTES = RECORD_BYTES + room.Room.LINK_BYTES
"""With the note of its file."""


def cache_in(folder: Path, *, cap_bytes: int = 10**9, side: int = SIDE) -> PictureCache:
    return PictureCache(
        folder, side=side, cap_bytes=cap_bytes, max_pixels=CAP, num_samples=2 * NUM_A_CLASS
    )


def all_of(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.jpg"))


def fill(cache: PictureCache, photos: Path) -> list[bytes]:
    return [pixels_of(cache.open(number, path)) for number, path in enumerate(all_of(photos))]


def pixels_of(source: Any) -> bytes:
    assert isinstance(source, Picture)
    return source.rgb_HWC.tobytes() + repr((source.rgb_HWC.shape, source.full_size)).encode()


def records(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("??/*") if not path.name.startswith("."))
    return sorted(path for path in found if not path.is_symlink())


def notes(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("??/*") if path.is_symlink())


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are decoded from here on."""
    opened: list[Path] = []

    def watched(path: Path, *, max_pixels: int) -> Any:
        opened.append(path)
        return open_source(path, max_pixels=max_pixels)

    monkeypatch.setattr(picture_cache, "open_source", watched)
    return opened


def reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read from here on to know what they hold."""
    read: list[Path] = []

    def watched(path: Path, identity: content.Identity) -> bytes:
        read.append(path)
        return content.digest_of(path, identity)

    monkeypatch.setattr(picture_cache, "digest_of", watched)
    return read

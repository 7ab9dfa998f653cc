"""What is known of a data set's photos from an earlier audit, in the user's cache.

A folder for each data root: `known` holds names and rows, and names the file with the tiles.
Both are written under new names and `known` is replaced at once, so that a kill at any moment
leaves the earlier state or the new one. A file that does not fit its own digest is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from numpy.typing import NDArray

from ecotui.durable import sync_file, write_whole
from ecotui.engine.audit.records import AUDIT_VERSION, ROW, TILE_SIDE, Outcome, Rows, Tiles
from ecotui.engine.data.index import Names
from ecotui.paths import user_cache

_MAGIC = b"ecotui audit\n"
_HEADER = struct.Struct("<qqqq")
"""Version, number of files, bytes of the names, bytes of the remarks."""
_DIGEST_BYTES = 16
_STALE_SECONDS = 86_400.0
"""Files that nobody names are removed after a day: before, another audit may be writing them."""


@dataclass(slots=True)
class Known:
    """What is known of a data set's photos.

    Attributes:
        names: Relative paths, sorted by bytes, `[N]`.
        rows: A row each, `[N]`.
        tiles: A small picture each, `[N, TILE_SIDE, TILE_SIDE]`, in a file.
        remarks: What there is to say of single files, by their place.
        tiles_name: Of the file with the tiles.
    """

    names: Names
    rows: Rows
    tiles: Tiles
    remarks: dict[int, str] = field(default_factory=dict)
    tiles_name: str = ""


class Cache:
    """The audits of one data root; none where the folder cannot be used.

    Args:
        root: Of the data.
        max_pixels: Largest photo that is decoded: what was refused depends on it.
    """

    def __init__(self, root: Path, *, max_pixels: int) -> None:
        # Another release of a decoder may read what this one cannot.
        decoders = f"{PIL.__version__} {simplejpeg.__version__}"
        place = f"{os.path.realpath(root)}\n{max_pixels}\n{decoders}"
        key = place.encode("utf-8", "surrogateescape")
        self.folder = user_cache() / "audit" / hashlib.sha256(key).hexdigest()[:24]
        self._path = self.folder / "known"

    def load(self) -> Known | None:
        """Return what is known; None where there is nothing, or nothing to be relied on."""
        try:
            content = self._path.read_bytes()
            return self._parsed(content)
        except (OSError, ValueError, struct.error):
            return None

    def new_tiles(self, count: int) -> tuple[Tiles, str]:
        """Return a file for tiles, mapped, and its name.

        Raises:
            OSError: The folder cannot be written, or the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        name = f"tiles-{secrets.token_hex(8)}"
        with (self.folder / name).open("xb") as file:
            file.truncate(max(1, count) * TILE_SIDE * TILE_SIDE)
        return self._mapped(name, count, "r+"), name

    def store(self, known: Known) -> None:
        """Make what is known the cache's state, at once.

        Raises:
            OSError: It cannot be written; the earlier state stands.
        """
        _sync(self.folder / known.tiles_name)
        remarks = json.dumps(known.remarks, ensure_ascii=True).encode()
        ends = known.names.ends.astype("<i8")
        block = known.names.block
        parts = [
            _MAGIC,
            _HEADER.pack(AUDIT_VERSION, len(known.names), len(block), len(remarks)),
            known.tiles_name.encode().ljust(32),
            ends.tobytes(),
            block,
            known.rows.tobytes(),
            remarks,
        ]
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for part in parts:
            digest.update(part)
        if (self.folder / known.tiles_name).exists():
            write_whole(self._path, b"".join([*parts, digest.digest()]))

    def _parsed(self, content: bytes) -> Known | None:
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        is_whole = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() == digest
        if not is_whole or not body.startswith(_MAGIC):
            return None
        place = len(_MAGIC)
        version, count, block_bytes, remark_bytes = _HEADER.unpack_from(body, place)
        if version != AUDIT_VERSION:
            return None
        place += _HEADER.size
        tiles_name = body[place : place + 32].strip().decode("ascii")
        place += 32
        ends = np.frombuffer(body, dtype="<i8", count=count + 1, offset=place).astype(np.int64)
        place += 8 * (count + 1)
        names = Names.from_block(body[place : place + block_bytes], ends)
        place += block_bytes
        rows = np.frombuffer(body, dtype=ROW, count=count, offset=place)
        place += rows.nbytes
        remarks = json.loads(body[place : place + remark_bytes])
        return Known(
            names,
            rows,
            self._mapped(tiles_name, count, "r"),
            {int(number): str(words) for number, words in remarks.items()},
            tiles_name,
        )

    def _mapped(self, name: str, count: int, mode: str) -> Tiles:
        shape = (max(1, count), TILE_SIDE, TILE_SIDE)
        mapped = np.memmap(self.folder / name, dtype=np.uint8, mode=mode, shape=shape)  # type: ignore[call-overload]
        return np.asarray(mapped)[:count]

    def _sweep(self) -> None:
        """Remove files of tiles that the state does not name and no audit can still be writing."""
        known = self.load()
        kept = known.tiles_name if known is not None else ""
        limit = time.time() - _STALE_SECONDS
        with contextlib.suppress(OSError):
            for path in self.folder.glob("tiles-*"):
                if path.name != kept and path.stat().st_mtime < limit:
                    path.unlink(missing_ok=True)

    def forget_tiles(self, name: str) -> None:
        """Remove a file of tiles that is no longer named; it stays mapped where it is in use."""
        with contextlib.suppress(OSError):
            if name:
                (self.folder / name).unlink()


def _sync(path: Path) -> None:
    """Flush a file that is written through its mapping."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def carried_over(known: Known, names: Names, rows: Rows) -> tuple[NDArray[np.int64], ...]:
    """Return which files have not changed since they were read: places now, and then.

    Args:
        known: Of an earlier audit.
        names: Of the files there are now.
        rows: Of the same files, with size, time and inode filled in.
    """
    places, sources = _same_names(known.names, names)
    now, then = rows[places], known.rows[sources]
    is_same = then["outcome"] != Outcome.UNKNOWN
    for key in ("size", "mtime_ns", "inode"):
        is_same &= now[key] == then[key]
    # A file that was absent or not permitted has no identity to rely on.
    is_same &= (then["mtime_ns"] != 0) & (then["outcome"] != Outcome.NOT_PERMITTED)
    return places[is_same], sources[is_same]


def _same_names(old: Names, new: Names) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if old.block == new.block and np.array_equal(old.ends, new.ends):
        every = np.arange(len(new), dtype=np.int64)
        return every, every
    places: list[int] = []
    sources: list[int] = []
    others = enumerate(old.raws())
    source, known = next(others, (-1, None))
    for place, name in enumerate(new.raws()):
        while known is not None and known < name:
            source, known = next(others, (-1, None))
        if known == name:
            places.append(place)
            sources.append(source)
    return np.array(places, dtype=np.int64), np.array(sources, dtype=np.int64)

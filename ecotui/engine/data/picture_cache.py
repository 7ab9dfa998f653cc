"""Decoded pictures in the user's cache, shared by workers and runs.

A file a picture: a header, and its uint8 RGB pixels, read as they are. A picture is a
function of its file's content, of the side and of the decoders' releases alone: whether it was
there or is made now does not show in the pixels, so the cache may be lost, or full, at any moment;
copies of a photo share one, and a data set that is moved finds its own.

A picture appears under its name when it is whole. After a power cut its name may be there without
its content: its checksum is compared when a process looks at it for the first time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from numpy.typing import NDArray

from ecotui.disk import FILE_MODE, FOLDER_MODE, NEW_FILE_FLAGS, closing, write_all
from ecotui.engine.data.content import Digests, Identity, digest_of, identity_of, place_of
from ecotui.engine.data.decode import DecodeError
from ecotui.engine.data.framing import Size
from ecotui.engine.data.pixels import Pixels, resized
from ecotui.engine.data.room import Room
from ecotui.engine.data.sources import Source, open_source

_FORMAT = b"ecotui picture 2"
_HEADER = struct.Struct("<16s16sIIIIIII")
"""Format, key, stored width and height, the photo's width and height, bytes of the pixels, their
checksum; last the checksum of all before it."""
_OFFSET = 64
"""Of the pixels in a file."""

MAX_PICTURE_BYTES = 33_554_432
"""A picture that is larger, of a very long photo, is not kept."""

_FILTER = "lanczos"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo made smaller, upright.

    Attributes:
        rgb_HWC: uint8.
        full_size: Of the upright photo, pixels.
    """

    rgb_HWC: NDArray[np.uint8]
    full_size: Size

    @property
    def size(self) -> Size:
        """Width and height of the upright photo, pixels."""
        return self.full_size

    def pixels(self, most_factor: float) -> Pixels:
        """Return what there is of the photo."""
        height, width = self.rgb_HWC.shape[:2]
        factors = (self.full_size[0] / width, self.full_size[1] / height)
        return Pixels(self.rgb_HWC, self.full_size, factors=factors)


class PictureCache:
    """Pictures of one side.

    Args:
        folder: Of all pictures, whatever their side.
        side: Shorter side that a larger photo is brought to, pixels.
        cap_bytes: That all pictures may take.
        max_pixels: Largest photo that is decoded.
        num_samples: Of the data set.
    """

    def __init__(
        self, folder: Path, *, side: int, cap_bytes: int, max_pixels: int, num_samples: int
    ) -> None:
        self._folder = os.fspath(folder)
        self._side = side
        self._max_pixels = max_pixels
        self._room = Room(folder, cap_bytes)
        # Another release of a decoder may make other pixels.
        self._decoders = f"{PIL.__version__} {simplejpeg.__version__}"
        # A million samples: 8 MB, of which a process writes what it has looked at.
        self._known = np.zeros(num_samples, dtype=np.uint64)
        self._digests = Digests(self._folder, num_samples)

    def open(self, sample_id: int, path: Path) -> Source:
        """Return a photo, small where it is large.

        Args:
            sample_id: Of the sample.
            path: Of its file.

        Raises:
            DecodeError: Whatever is wrong with the file.
        """
        identity = identity_of(path)
        digest = self._digests.known(sample_id, identity)
        is_remembered = digest is not None
        if digest is None:
            digest = digest_of(path, identity)
            # A file that was written to meanwhile is not what its digest says.
            if identity_of(path) == identity:
                self._digests.hold(sample_id, identity, digest)
        key = self._key_of(digest)
        place = place_of(self._folder, key)
        kept = self._load(sample_id, key, place, identity)
        if kept is not None:
            self._note(sample_id, identity)
            return kept
        source = open_source(path, max_pixels=self._max_pixels)
        if _smaller(source.size, self._side)[2] > MAX_PICTURE_BYTES:
            return source
        picture = shrunk(source, self._side)

        def is_sure() -> bool:
            """Say whether the picture is what its key says: others may be given it."""
            is_doubtful = is_remembered or not identity.is_settled
            if is_doubtful and digest_of(path, identity) != digest:
                self._digests.forget(sample_id, identity)
                return False
            return identity_of(path) == identity

        if self._store(key, place, picture, is_sure):
            self._note(sample_id, identity)
        return picture

    def _note(self, sample_id: int, identity: Identity) -> None:
        """Note what a file holds whose picture is kept, for other processes and later runs."""
        is_new = self._digests.is_to_be_noted(sample_id, identity)
        if not is_new or not self._room.take(Room.LINK_BYTES):
            return
        if not self._digests.note(sample_id, identity):
            self._room.give_back(Room.LINK_BYTES)

    def _key_of(self, digest: bytes) -> bytes:
        """Return what a picture depends on, in 16 bytes."""
        said = f"{self._side} {self._max_pixels} {self._decoders} ".encode() + digest
        return hashlib.blake2b(said, digest_size=16).digest()

    def _load(self, sample_id: int, key: bytes, place: str, identity: Identity) -> Picture | None:
        """Return a picture that is there and whole; None otherwise."""
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            size = os.fstat(descriptor).st_size
            if not _OFFSET < size <= _OFFSET + MAX_PICTURE_BYTES:
                return None
            # Read rather than mapped: a page that cannot be read would kill, and the faults of a
            # mapping that is looked at once take longer than the copy.
            record = os.pread(descriptor, size, 0)
        except (OSError, MemoryError):
            return None
        finally:
            os.close(descriptor)
        picture = self._parsed(sample_id, key, record) if len(record) == size else None
        if picture is None:
            return None
        self._note_use(sample_id, key, place, identity)
        return picture

    def _parsed(self, sample_id: int, key: bytes, record: bytes) -> Picture | None:
        header = record[: _HEADER.size]
        form, own, width, height, *rest = _HEADER.unpack(header)
        full_width, full_height, num_bytes, checksum, header_checksum = rest
        is_ours = form == _FORMAT and own == key
        if not is_ours or zlib.crc32(header[:-4]) != header_checksum:
            return None
        if num_bytes != width * height * 3 or len(record) != _OFFSET + num_bytes:
            return None
        flat = np.frombuffer(record, dtype=np.uint8, offset=_OFFSET)
        if self._known[sample_id] != _short(key) and _checksum(flat) != checksum:
            return None
        return Picture(flat.reshape(height, width, 3), (full_width, full_height))

    def _note_use(self, sample_id: int, key: bytes, place: str, identity: Identity) -> None:
        if self._known[sample_id] != _short(key):
            self._known[sample_id] = _short(key)
            with contextlib.suppress(OSError):  # it has been removed meanwhile
                os.utime(place)
            self._digests.use(identity)

    def _store(self, key: bytes, place: str, picture: Picture, is_sure: Callable[[], bool]) -> bool:
        """Keep a picture where there is room; a disk that cannot be written is no fault here."""
        pixels = np.ascontiguousarray(picture.rgb_HWC)
        size = _OFFSET + pixels.nbytes
        if not self._room.take(size):
            return False
        try:
            if is_sure():
                _write(key, Path(place), pixels, picture.full_size)
                return True
        except (OSError, DecodeError):
            pass
        self._room.give_back(size)
        return False


def shrunk(source: Source, side: int) -> Picture:
    """Return a photo with its shorter side brought down to a size; a smaller one as it is.

    Args:
        source: The photo.
        side: Pixels.

    Raises:
        DecodeError: It cannot be decoded.
    """
    width, height, _ = _smaller(source.size, side)
    pixels = source.pixels(min(source.size) / side)
    turned = (height, width) if pixels.orientation >= 5 else (width, height)
    stored_HWC, (across, down) = pixels.stored_HWC, pixels.factors
    if stored_HWC.shape[1::-1] != turned:
        box = (0.0, 0.0, pixels.size[0] / across, pixels.size[1] / down)
        small = resized(stored_HWC, box, turned, _FILTER)
        pixels = Pixels(np.asarray(small), turned, pixels.orientation)
    return Picture(np.asarray(pixels.upright_image()), source.size)


def _smaller(size: Size, side: int) -> tuple[int, int, int]:
    """Return width, height and bytes of a photo's picture."""
    width, height = size
    short = min(size)
    if short > side:
        width, height = (max(side, round(each * side / short)) for each in size)
    return width, height, 3 * width * height


def picture_bytes(size: Size, side: int) -> int:
    """Return the bytes that the picture of a photo takes; 0 where it is not kept."""
    num_bytes = _smaller(size, side)[2]
    return num_bytes + _OFFSET if num_bytes <= MAX_PICTURE_BYTES else 0


def _short(key: bytes) -> int:
    """Return eight bytes of a key, as a number that is not 0."""
    return int.from_bytes(key[:8], "little") or 1


def _checksum(flat: NDArray[np.uint8]) -> int:
    return zlib.crc32(flat.data)


def _write(key: bytes, place: Path, pixels: NDArray[np.uint8], full_size: Size) -> None:
    """Write a file that appears when it is whole; whoever is killed leaves one without a name."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(-1)
    fields = (width, height, *full_size, flat.nbytes, _checksum(flat))
    header = _HEADER.pack(_FORMAT, key, *fields, 0)[:-4]
    header += struct.pack("<I", zlib.crc32(header))
    place.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    writing = place.parent / f"{Room.TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
    descriptor = os.open(writing, NEW_FILE_FLAGS, FILE_MODE)
    try:
        with closing(descriptor):
            write_all(descriptor, header.ljust(_OFFSET, b"\0"))
            write_all(descriptor, flat.data)
        writing.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            writing.unlink()
        raise

"""What a JPEG file says of itself in its markers, read from its bytes alone.

Source: ITU-T T.81, annex B (markers); Exif 2.32, section 4.6 (the orientation tag).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

START = b"\xff\xd8\xff"
END_OF_IMAGE = b"\xff\xd9"

_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame, with its size."""
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN, _APP1, _END = 0xDA, 0xE1, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""

_ORIENTATION_TAG, _SHORT = 0x0112, 3
_MAX_SEGMENTS = 10_000
_MAX_TAGS = 1_000


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """The frame of a JPEG file.

    Attributes:
        width: Pixels, as stored.
        height: Pixels, as stored.
        components: 1 for grey, 3 for colours, 4 for CMYK.
        precision: Bits a sample.
        is_progressive: Whether the picture comes in several passes.
        orientation: EXIF orientation, 1 to 8; None where it takes a whole EXIF reader to say.
    """

    width: int
    height: int
    components: int
    precision: int
    is_progressive: bool
    orientation: int | None


def read_structure(data: bytes) -> JpegStructure | None:
    """Return the frame of a JPEG file; None where the markers do not lead to one.

    Args:
        data: The whole file, or its beginning.
    """
    place, orientation = 2, 1
    frame: tuple[int, int, int, int, bool] | None = None
    found: int | None = 1
    for _ in range(_MAX_SEGMENTS):
        if data[place : place + 1] != b"\xff" or place + 4 > len(data):
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        if marker in (_SCAN, _END):
            break
        (length,) = struct.unpack_from(">H", data, place + 2)
        if length < 2:
            return None
        if marker == _APP1:
            found = _orientation(data[place + 4 : place + 2 + length])
            orientation = orientation if found == 1 else found or 0
        elif marker in _SIZES and length >= 8 and place + 10 <= len(data):
            frame = (*struct.unpack_from(">BHHB", data, place + 4), marker in _PROGRESSIVE)
        place += 2 + length
    if frame is None:
        return None
    precision, height, width, components, is_progressive = frame
    return JpegStructure(width, height, components, precision, is_progressive, orientation or None)


def bytes_after_end(data: bytes) -> int:
    """Return how many bytes follow the last end-of-image marker; -1 where there is none."""
    place = data.rfind(END_OF_IMAGE)
    return -1 if place < 0 else len(data) - place - len(END_OF_IMAGE)


def _orientation(segment: bytes) -> int | None:
    """Return the orientation that an APP1 segment tells, 1 where it tells none."""
    if not segment.startswith(b"Exif\x00\x00"):
        # XMP may tell one, too.
        return None if b"tiff:Orientation" in segment else 1
    tiff = segment[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return None
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for number in range(min(count, _MAX_TAGS)):
        entry = start + 2 + 12 * number
        if entry + 12 > len(tiff):
            return None
        tag, kind, num_values = struct.unpack_from(order + "HHI", tiff, entry)
        if tag != _ORIENTATION_TAG:
            continue
        if kind != _SHORT or num_values != 1:
            return None
        (value,) = struct.unpack_from(order + "H", tiff, entry + 8)
        return value if 1 <= value <= 8 else 1
    return 1

"""A reader of small PNG files, in Python alone: previews that the engine has written.

Faces decode no pictures of the user's and import no image library. What is read here was written
by the engine, at most 128 pixels a side; anything else is refused before much of it is held.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAX_SIDE_PIXELS = 128
MAX_FILE_BYTES = 262_144
"""Four bytes for every pixel of the largest picture make 66 kB, before they are compressed."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Bytes a pixel by colour type: grey, RGB, grey with alpha, RGB with alpha."""

Pixel = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


class PngError(ValueError):
    """A file is no PNG that this reader takes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture.

    Attributes:
        width: In pixels, 1 to 128.
        height: Likewise.
        rows: Its pixels from the top left, alpha laid over black.
    """

    width: int
    height: int
    rows: tuple[tuple[Pixel, ...], ...]


def read_png(raw: bytes) -> Picture:
    """Return the picture of a PNG file: 8 bits a channel, grey or RGB, not interlaced.

    Raises:
        PngError: It is something else, is damaged, or is larger than a preview may be.
    """
    if len(raw) > MAX_FILE_BYTES or not raw.startswith(_SIGNATURE):
        raise PngError("no PNG file of a preview's size")
    header, packed = _chunks(raw)
    if len(header) != 13:
        raise PngError("no header of 13 bytes")
    width, height, depth, colour, method, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if not (1 <= width <= MAX_SIDE_PIXELS and 1 <= height <= MAX_SIDE_PIXELS):
        raise PngError(f"{width} by {height} pixels, at most {MAX_SIDE_PIXELS} a side")
    if depth != 8 or colour not in _CHANNELS or method or filtering or interlace:
        raise PngError("a kind of PNG that previews are not written in")
    channels = _CHANNELS[colour]
    lines = _unfiltered(_inflated(packed, height * (width * channels + 1)), width, channels)
    return Picture(width, height, tuple(_pixels(line, channels) for line in lines))


def _chunks(raw: bytes) -> tuple[bytes, bytes]:
    """Return the header and all the packed data."""
    header, packed, at = b"", list[bytes](), len(_SIGNATURE)
    while at + 12 <= len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        kind, body = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        end = at + 12 + length
        if end > len(raw):
            break
        if zlib.crc32(kind + body) != struct.unpack_from(">I", raw, end - 4)[0]:
            raise PngError("a checksum is wrong")
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed.append(body)
        elif kind == b"IEND":
            return header, b"".join(packed)
        at = end
    raise PngError("it ends too early")


def _inflated(packed: bytes, num_bytes: int) -> bytes:
    """Unpack so many bytes and no more, whatever the file would unpack to."""
    unpacker = zlib.decompressobj()
    try:
        raw: bytes = unpacker.decompress(packed, num_bytes)
    except zlib.error as error:
        raise PngError("it cannot be unpacked") from error
    if len(raw) != num_bytes:
        raise PngError("it holds fewer pixels than it says")
    return raw


def _unfiltered(raw: bytes, width: int, channels: int) -> list[bytearray]:
    """Undo the prediction of each line (PNG specification, section 9)."""
    lines, above = list[bytearray](), bytearray(width * channels)
    stride = width * channels + 1
    for start in range(0, len(raw), stride):
        kind, line = raw[start], bytearray(raw[start + 1 : start + stride])
        if kind > 4:
            raise PngError("a line is predicted in an unknown way")
        for place in range(len(line)) if kind else ():
            left = line[place - channels] if place >= channels else 0
            corner = above[place - channels] if place >= channels else 0
            line[place] = (line[place] + _predicted(kind, left, above[place], corner)) & 255
        lines.append(line)
        above = line
    return lines


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    match kind:
        case 1:
            return left
        case 2:
            return up
        case 3:
            return (left + up) // 2
    guess = left + up - corner
    far = (abs(guess - left), abs(guess - up), abs(guess - corner))
    if far[0] <= far[1] and far[0] <= far[2]:
        return left
    return up if far[1] <= far[2] else corner


def _pixels(line: bytearray, channels: int) -> tuple[Pixel, ...]:
    has_alpha = channels in (2, 4)
    found = list[Pixel]()
    for start in range(0, len(line), channels):
        red = line[start]
        green, blue = (line[start + 1], line[start + 2]) if channels > 2 else (red, red)
        if has_alpha:
            alpha = line[start + channels - 1]
            red, green, blue = (each * alpha // 255 for each in (red, green, blue))
        found.append((red, green, blue))
    return tuple(found)

"""One file looked at: what the training would make of it, and what a strict decoder says.

A JPEG is decoded by a strict decoder at an eighth of its size: every bit of it is read, and
damage in its middle that others pass over is told. Whatever else there is, and whatever the
strict decoder complains about, goes through the decoder of the training.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from ecotui.engine.audit.looks import LONG_SIDE, Greys
from ecotui.engine.audit.records import Outcome, Trait
from ecotui.engine.audit.unsupported import named_content
from ecotui.engine.data.decode import DecodeError, Photo, open_regular, read_photo, read_size
from ecotui.engine.data.jpeg_structure import (
    START,
    JpegStructure,
    bytes_after_end,
    read_structure,
)
from ecotui.text import visible

MAX_WHOLE_BYTES = 67_108_864
"""A larger file is not read into memory whole."""

LARGE_PIXELS = 8_000_000
"""Photos above are decoded one at a time where the whole picture is kept in memory."""

_ENDINGS = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Plain numbers: making a flag costs more than all else that is done with it.
_WRONG_EXTENSION, _UNUSUAL_MODE, _ROTATED = (
    int(each) for each in (Trait.WRONG_EXTENSION, Trait.UNUSUAL_MODE, Trait.ROTATED)
)
_PLAIN_MODES = frozenset({"RGB", "L"})
_ONE_AT_A_TIME = threading.Lock()
_no_lock = contextlib.nullcontext()
_UPRIGHT_TILES = {
    2: lambda greys: greys[:, ::-1],
    3: lambda greys: greys[::-1, ::-1],
    4: lambda greys: greys[::-1],
    5: lambda greys: greys.T,
    6: lambda greys: greys.T[:, ::-1],
    7: lambda greys: greys.T[::-1, ::-1],
    8: lambda greys: greys.T[::-1],
}
"""What makes stored rows upright, by EXIF orientation."""


@dataclass(slots=True)
class Look:
    """What was seen of a file.

    Attributes:
        outcome: What came of reading it.
        reason: Why it cannot be used, or what is odd about it, fit to be shown.
        traits: What it has that most have not: `Trait`s, as a number.
        format: Pillow's name; empty where it is not known.
        width: Of the upright photo, pixels; 0 where it is not known.
        height: Of the upright photo, pixels.
        checksum: Of the whole file, 64 bits; 0 where it was not read.
        greys: A small picture; None where there is none.
        colours: The same picture in R, G and B, `[H, W, 3]`; None where it was not asked for.
    """

    outcome: Outcome
    reason: str = ""
    traits: int = 0
    format: str = ""
    width: int = 0
    height: int = 0
    checksum: int = 0
    greys: Greys | None = None
    colours: NDArray[np.uint8] | None = None


def look(path: str | Path, *, max_pixels: int, wants_colours: bool) -> Look:
    """Read a file whole and say what there is to it; never raises for what is in it.

    Args:
        path: Of the file.
        max_pixels: Largest width times height that is decoded.
        wants_colours: Also return a small picture in colours.
    """
    content = fetch(os.fspath(path))
    if isinstance(content, Look):
        return content
    return see(content, max_pixels=max_pixels, wants_colours=wants_colours)


class Content(NamedTuple):
    """A file that was read.

    Attributes:
        path: Of the file.
        data: All of it, or its beginning where it is large.
        checksum: Of all of it, 64 bits.
        structure: What its markers say; None where it is no JPEG, or they are out of order.
    """

    path: str
    data: bytes
    checksum: int
    structure: JpegStructure | None


def fetch(path: str) -> Content | Look:
    """Return what is in a file; where it cannot be read, what there is to say of it."""
    try:
        data, checksum = _read(path)
    except DecodeError as error:
        return Look(Outcome[error.fault.upper()], error.reason)
    except OSError as error:
        return Look(Outcome.UNREADABLE, f"cannot be read: {visible(error.strerror or error)}")
    structure = read_structure(data) if data.startswith(START) else None
    return Content(path, data, checksum, structure)


def see(content: Content, *, max_pixels: int, wants_colours: bool) -> Look:
    """Say what there is to a file that was read.

    Args:
        content: Of the file.
        max_pixels: Largest width times height that is decoded.
        wants_colours: Also return a small picture in colours.
    """
    path, data, checksum, structure = content
    is_broken = structure is None and data.startswith(START)
    complaint = "its markers are out of order" if is_broken else ""
    if structure is not None and _is_plain(structure, max_pixels):
        seen = _strictly(data, structure, path, wants_colours)
        if isinstance(seen, Look):
            seen.checksum = checksum
            return seen
        complaint = seen
    seen = _as_trained(path, max_pixels, complaint, wants_colours)
    seen.checksum = checksum
    if seen.outcome == Outcome.UNSUPPORTED:
        seen.reason = named_content(data) or seen.reason
    elif seen.outcome == Outcome.TRUNCATED or complaint:
        seen.reason = _with_tail(seen.reason, data)
    return seen


def content_hash(path: str | Path) -> bytes:
    """Return the first 16 bytes of the SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
        DecodeError: It is no regular file.
    """
    digest = hashlib.sha256()
    descriptor = open_regular(os.fspath(path))
    try:
        while piece := os.read(descriptor, 1_048_576):
            digest.update(piece)
    finally:
        os.close(descriptor)
    return digest.digest()[:16]


def _read(path: str) -> tuple[bytes, int]:
    """Return a file's bytes, or its beginning where it is large, and its content's checksum."""
    descriptor = open_regular(path)
    try:
        data = b""
        # One call takes all there is of most files; a file that grows is read to its end.
        wanted = min(os.fstat(descriptor).st_size, MAX_WHOLE_BYTES) + 1
        while len(data) <= MAX_WHOLE_BYTES and (piece := os.read(descriptor, wanted)):
            data = data + piece if data else piece
            if len(piece) < wanted:
                break
        if len(data) <= MAX_WHOLE_BYTES:
            return data, _checksum(data)
        digest = hashlib.sha256(data)
        while piece := os.read(descriptor, 1_048_576):
            digest.update(piece)
        return data[:65_536], int.from_bytes(digest.digest()[:8], "little")
    finally:
        os.close(descriptor)


def _checksum(data: bytes) -> int:
    """Return the sum of a file's words, 64 bits: files that differ in it are not the same.

    A tenth of what a cryptographic hash costs; those that agree are hashed, which is rare.
    """
    whole = len(data) // 8
    total = int(np.add.reduce(np.frombuffer(data, "<u8", whole)))
    return (total + int.from_bytes(data[8 * whole :], "little")) % 2**64


def _is_plain(structure: JpegStructure, max_pixels: int) -> bool:
    return (
        0 < structure.width * structure.height <= max_pixels
        and structure.precision == 8
        and structure.components in (1, 3)
        and structure.orientation is not None
    )


def _strictly(data: bytes, structure: JpegStructure, path: str, wants_colours: bool) -> Look | str:
    """Return what a strict decoder sees, or what it complains about."""
    factor = _factor(structure)
    height, width = -(-structure.height // factor), -(-structure.width // factor)
    # A progressive JPEG is held in memory whole, a baseline one a few rows at a time.
    is_large = structure.is_progressive and structure.width * structure.height > LARGE_PIXELS
    try:
        with _ONE_AT_A_TIME if is_large else _no_lock:
            pixels = simplejpeg.decode_jpeg(
                data,
                "RGB" if wants_colours else "GRAY",
                min_height=height,
                min_width=width,
                strict=True,
            )
    except ValueError as error:
        return visible(error, limit=200)
    greys = grey_of(pixels) if wants_colours else pixels[..., 0]
    turn = _UPRIGHT_TILES.get(structure.orientation or 1)
    seen = Look(Outcome.READ, format="JPEG", width=structure.width, height=structure.height)
    seen.traits = _name_trait(path, "JPEG")
    if turn is not None:
        greys = np.ascontiguousarray(turn(greys))
        seen.traits |= _ROTATED
        if (structure.orientation or 1) >= 5:
            seen.width, seen.height = seen.height, seen.width
    seen.greys = greys
    seen.colours = pixels if wants_colours else None
    return seen


def _factor(structure: JpegStructure) -> int:
    """Return by how much to shrink while decoding, keeping the long side at 64 or above."""
    long_side = max(structure.width, structure.height)
    return next((factor for factor in (8, 4, 2) if long_side >= LONG_SIDE * factor), 1)


def _as_trained(path: str, max_pixels: int, complaint: str, wants_colours: bool) -> Look:
    """Return what the decoder of the training makes of a file."""
    try:
        file = Path(path)
        width, height = read_size(file)
        with _ONE_AT_A_TIME if width * height > LARGE_PIXELS else _no_lock:
            photo = read_photo(file, max_pixels=max_pixels)
            small = _small(photo.image)
    except DecodeError as error:
        return Look(Outcome[error.fault.upper()], error.reason)
    colours = np.asarray(small)
    seen = Look(
        Outcome.SUSPECT if complaint else Outcome.READ,
        complaint or _described(photo),
        traits=_traits(photo, path),
        format=photo.format,
        width=photo.image.width,
        height=photo.image.height,
    )
    seen.greys = grey_of(colours)
    seen.colours = colours if wants_colours else None
    return seen


def _small(image: Image.Image) -> Image.Image:
    scale = 2 * LONG_SIDE / max(image.size)
    if scale >= 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=1.0)


def grey_of(colours: NDArray[np.uint8]) -> Greys:
    """Return the luma of an RGB picture. Source: ITU-R BT.601, as JPEG has it."""
    greys: Greys = np.rint(colours.astype(np.float32) @ _LUMA).astype(np.uint8)
    return greys


def _traits(photo: Photo, path: str) -> int:
    traits = _name_trait(path, photo.format)
    if photo.mode not in _PLAIN_MODES or photo.is_animated:
        traits |= _UNUSUAL_MODE
    return traits | _ROTATED if photo.orientation != 1 else traits


def _name_trait(path: str, format: str) -> int:  # noqa: A002 - Pillow's word
    return 0 if path.lower().endswith(_ENDINGS[format]) else _WRONG_EXTENSION


def _described(photo: Photo) -> str:
    words = [] if photo.mode in _PLAIN_MODES else [f"mode {visible(photo.mode, limit=20)}"]
    words += ["transparent"] if photo.is_transparent else []
    words += ["animated"] if photo.is_animated else []
    return ", ".join(words)


def _with_tail(reason: str, data: bytes) -> str:
    if not data.startswith(START):
        return reason
    after = bytes_after_end(data)
    if after < 0:
        return f"{reason}; no end-of-image marker"
    return f"{reason}; {after:,} bytes after the end of the picture" if after else reason

"""One file becomes one upright RGB image, or a reason in plain words.

Files are hostile until shown otherwise: they are told apart by content, not by
name, only by the six decoders named here, and sized before they are decoded.
Not for several threads of a process at once: Pillow's limit and Python's
warning filters, both global, are put aside for each call.
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ecotui.text import visible

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's decoders that are let near a file."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by its EXIF orientation."""

_SIDEWAYS = frozenset({5, 6, 7, 8})

_REASONS = {
    errno.ENOENT: "the file does not exist",
    errno.EACCES: "the file may not be read",
    errno.EPERM: "the file may not be read",
    errno.ELOOP: "the file is a link that leads back to itself",
    errno.ENXIO: "this is not a regular file",
}


class DecodeError(Exception):
    """A file cannot be used.

    Attributes:
        reason: Why, in plain words, fit to be shown.
    """

    def __init__(self, reason: str) -> None:
        self.reason = visible(reason, limit=300)
        super().__init__(self.reason)


def decode(path: Path, *, max_pixels: int) -> Image.Image:
    """Return the photo in a file as 8-bit RGB, upright.

    EXIF orientation is applied, alpha composited on white, 16-bit and float greys
    scaled to 8 bits; of an animation the first frame is taken.

    Args:
        path: Of the file.
        max_pixels: Largest width times height that is decoded.

    Raises:
        DecodeError: Whatever is wrong with the file.
    """
    with _opened(path) as image:
        _check_size(image, max_pixels)
        image.load()
        orientation = _orientation(image)
        colours = _rgb(image)
    turn = _UPRIGHT.get(orientation)
    return colours if turn is None else colours.transpose(turn)


def read_size(path: Path) -> tuple[int, int]:
    """Return width and height of the upright photo, in pixels, from the file's header alone.

    Raises:
        DecodeError: The file is not a photo that can be read.
    """
    with _opened(path) as image:
        width, height = image.size
        # Pillow's TIFF decoder turns photos itself, and says the upright size.
        is_sideways = image.format != "TIFF" and _orientation(image) in _SIDEWAYS
        return (height, width) if is_sideways else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a file with Pillow; whatever goes wrong in the block becomes a DecodeError."""
    try:
        descriptor = _open_regular(path)
        with (
            os.fdopen(descriptor, "rb") as file,
            _pillow_put_straight(),
            Image.open(file, formats=FORMATS) as image,
        ):
            yield image
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"not a photo in a known format ({', '.join(FORMATS)})") from None
    except MemoryError:
        raise DecodeError("not enough memory to decode it") from None
    except Exception as error:
        # Decoders raise nearly everything on damaged input: OSError, SyntaxError,
        # ValueError, struct.error, IndexError and more.
        raise DecodeError(_told(error)) from None


def _open_regular(path: Path) -> int:
    """Return a descriptor of a regular file with something in it; a pipe does not block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        raise DecodeError(reason or f"cannot be opened: {error.strerror}") from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise DecodeError("the file is empty")
    is_folder = stat.S_ISDIR(status.st_mode)
    raise DecodeError("this is a folder" if is_folder else "this is not a regular file")


@contextmanager
def _pillow_put_straight() -> Iterator[None]:
    """Put Pillow's own size limit and its warnings aside for a block.

    The limit lies below what `data.max_pixels` may allow, and its warning leaks a
    line for each large photo; the cap here is checked before anything is decoded.
    """
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise DecodeError(f"a photo of {width} x {height} pixels")
    if width * height > max_pixels:
        raise DecodeError(
            f"{width:,} x {height:,} pixels, more than data.max_pixels = {max_pixels:,}"
        )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # unreadable EXIF takes nothing from the photo itself
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def _eight_bits(greys: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale greys of more than 8 bits to 0 to 255: clipping them makes a white image.

    16-bit integers are scaled by their format's range; floats of 0 to 1 and of 0 to
    255 by theirs; anything else, which has no agreed range, by its own.
    """
    values = np.nan_to_num(greys.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    is_whole = np.issubdtype(greys.dtype, np.integer)
    ranges = (65_535.0,) if is_whole else (1.0, 255.0, 65_535.0)
    top = next((top for top in ranges if low >= 0.0 and high <= top), None)
    if top is None:
        values, top = values - low, (high - low) or 1.0
    return np.rint(values * (255.0 / top)).astype(np.uint8)


def _told(error: Exception) -> str:
    text = visible(error) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"the file ends too early ({text})"
    return f"cannot be decoded: {text}"

"""One file becomes one upright RGB image, or a reason in plain words.

Files are hostile until shown otherwise: they are told apart by content, not by
name, only by the six decoders named here, and sized before they are decoded.
Several threads may decode at once: Pillow's limit and Python's warning filters, both
global, are put aside by the first of them and put back by the last.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ecotui.text import visible

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's decoders that are let near a file."""

_ORIENTATION_TAG = 0x0112
UPRIGHT = {
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

Fault = Literal["empty", "truncated", "unsupported", "not_permitted", "too_large", "unreadable"]
"""Why a file cannot be used, as a stable name."""

_REASONS: dict[int, tuple[str, Fault]] = {
    errno.ENOENT: ("the file does not exist", "unreadable"),
    errno.EACCES: ("the file may not be read", "not_permitted"),
    errno.EPERM: ("the file may not be read", "not_permitted"),
    errno.ELOOP: ("the file is a link that leads back to itself", "unreadable"),
    errno.ENXIO: ("this is not a regular file", "unsupported"),
}


class DecodeError(Exception):
    """A file cannot be used.

    Attributes:
        reason: Why, in plain words, fit to be shown.
        fault: The kind of reason.
    """

    def __init__(self, reason: str, fault: Fault = "unreadable") -> None:
        self.reason = visible(reason, limit=300)
        self.fault: Fault = fault
        super().__init__(self.reason)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo with what its file says of it.

    Attributes:
        image: 8-bit RGB, upright.
        format: Pillow's name of the file's format.
        mode: Pillow's name of how the file stores pixels.
        orientation: EXIF orientation, 1 (upright) to 8.
        is_animated: Whether there are more frames than the one taken.
        is_transparent: Whether pixels were composited on white.
    """

    image: Image.Image
    format: str
    mode: str
    orientation: int
    is_animated: bool
    is_transparent: bool


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
    return read_photo(path, max_pixels=max_pixels).image


def read_photo(path: Path, *, max_pixels: int) -> Photo:
    """Return what `decode` does, with what the file says of itself.

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
        turn = UPRIGHT.get(orientation)
        return Photo(
            image=colours if turn is None else colours.transpose(turn),
            format=image.format or "",
            mode=image.mode,
            orientation=orientation if turn is not None else 1,
            is_animated=_is_animated(image),
            is_transparent=image.has_transparency_data,
        )


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
        descriptor = open_regular(path)
        with (
            os.fdopen(descriptor, "rb") as file,
            _pillow_put_straight,
            Image.open(file, formats=FORMATS) as image,
        ):
            yield image
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(
            f"not a photo in a known format ({', '.join(FORMATS)})", "unsupported"
        ) from None
    except MemoryError:
        raise DecodeError("not enough memory to decode it") from None
    except Exception as error:
        # Decoders raise nearly everything on damaged input: OSError, SyntaxError,
        # ValueError, struct.error, IndexError and more.
        raise _told(error) from None


def open_regular(path: str | Path) -> int:
    """Return a descriptor of a regular file with something in it; a pipe does not block.

    Raises:
        DecodeError: There is no such file, or it may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        unknown: tuple[str, Fault] = (f"cannot be opened: {error.strerror}", "unreadable")
        raise DecodeError(*_REASONS.get(error.errno or 0, unknown)) from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise DecodeError("the file is empty", "empty")
    is_folder = stat.S_ISDIR(status.st_mode)
    raise DecodeError(
        "this is a folder" if is_folder else "this is not a regular file", "unsupported"
    )


class _PillowPutStraight:
    """Puts Pillow's own size limit and its warnings aside while any thread decodes.

    The limit lies below what `data.max_pixels` may allow, and its warning leaks a
    line for each large photo; the cap here is checked before anything is decoded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._limit: int | None = None
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._num_inside += 1
            if self._num_inside > 1:
                return
            self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._caught = warnings.catch_warnings()
            self._caught.__enter__()
            warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside:
                return
            self._caught.__exit__(None, None, None)
            Image.MAX_IMAGE_PIXELS = self._limit


_pillow_put_straight = _PillowPutStraight()


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise DecodeError(f"a photo of {width} x {height} pixels")
    if width * height > max_pixels:
        raise DecodeError(
            f"{width:,} x {height:,} pixels, more than data.max_pixels = {max_pixels:,}",
            "too_large",
        )


def _is_animated(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a second frame that is damaged takes nothing from the first
        return False


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


def _told(error: Exception) -> DecodeError:
    text = visible(error) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return DecodeError(f"the file ends too early ({text})", "truncated")
    return DecodeError(f"cannot be decoded: {text}")

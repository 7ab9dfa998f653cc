"""A photo whose size is known before its pixels: they are decoded at the size that is needed.

A JPEG that a strict decoder takes is decoded by it, at a half, a quarter or an eighth where that
still gives enough pixels. Everything else, and whatever that decoder complains about, goes
through `decode`, which says what is wrong with a file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
from PIL import Image

from ecotui.engine.data.decode import DecodeError, decode, open_regular
from ecotui.engine.data.framing import Size
from ecotui.engine.data.jpeg_structure import START, JpegStructure, read_structure
from ecotui.engine.data.pixels import Pixels

MAX_WHOLE_BYTES = 67_108_864
"""A larger file is left to Pillow, which does not read it into memory whole."""

_FACTORS = (8, 4, 2)
"""By which a JPEG is shrunk while it is decoded. Others (7/8, 6/8 and so on) have no fast code in
libjpeg-turbo: they take longer than the whole photo."""


def shrinking(most_factor: float) -> int:
    """Return by how much a JPEG is shrunk that may be shrunk by so much."""
    return next((factor for factor in _FACTORS if factor <= most_factor), 1)


class Source(Protocol):
    """A photo that can be decoded.

    Attributes:
        size: Width and height of the upright photo, pixels.
    """

    @property
    def size(self) -> Size: ...  # noqa: D102 - see above

    def pixels(self, most_factor: float) -> Pixels:
        """Decode it.

        Args:
            most_factor: By how much it may be shrunk, 1 or more.

        Raises:
            DecodeError: Whatever is wrong with the file.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A photo that is decoded already, upright."""

    image: Image.Image

    @property
    def size(self) -> Size:
        """Width and height, pixels."""
        return self.image.size

    def pixels(self, most_factor: float) -> Pixels:
        """Return all of its pixels."""
        return Pixels.of_image(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class PlainJpeg:
    """A JPEG in memory.

    Attributes:
        data: The file.
        structure: What its markers say.
        path: Of the file, for another decoder.
        max_pixels: Largest width times height that is decoded.
    """

    data: bytes
    structure: JpegStructure
    path: Path
    max_pixels: int

    @property
    def size(self) -> Size:
        """Width and height of the upright photo, pixels."""
        width, height = self.structure.width, self.structure.height
        return (height, width) if self._orientation >= 5 else (width, height)

    @property
    def _orientation(self) -> int:
        return self.structure.orientation or 1

    def pixels(self, most_factor: float) -> Pixels:
        """Decode it, shrunk by 1, 2, 4 or 8.

        Raises:
            DecodeError: Whatever is wrong with the file.
        """
        width, height = self.structure.width, self.structure.height
        factor = shrinking(most_factor)
        wanted = (-(-height // factor), -(-width // factor))
        try:
            stored_HWC = simplejpeg.decode_jpeg(
                self.data, "RGB", min_height=wanted[0], min_width=wanted[1], strict=True
            )
        except (ValueError, MemoryError):
            return self._otherwise()
        if stored_HWC.shape != (*wanted, 3):
            return self._otherwise()
        factors = (float(factor), float(factor))
        return Pixels(stored_HWC, (width, height), self._orientation, factors)

    def _otherwise(self) -> Pixels:
        image = decode(self.path, max_pixels=self.max_pixels)
        width, height = self.size
        # Another decoder's idea of the size counts as the photo made larger or smaller.
        factors = (width / image.width, height / image.height)
        return Pixels(np.asarray(image), (width, height), factors=factors)


def open_source(path: Path, *, max_pixels: int) -> Source:
    """Return a photo of known size.

    Args:
        path: Of the file.
        max_pixels: Largest width times height that is decoded.

    Raises:
        DecodeError: Whatever is wrong with the file, as far as its beginning shows.
    """
    data = _read_jpeg(path)
    structure = None if data is None else read_structure(data)
    if data is None or structure is None or not is_plain(structure, max_pixels):
        return Decoded(decode(path, max_pixels=max_pixels))
    return PlainJpeg(data, structure, path, max_pixels)


def is_plain(structure: JpegStructure, max_pixels: int) -> bool:
    """Say whether the strict decoder makes the same of a JPEG as Pillow does.

    Args:
        structure: Of the file.
        max_pixels: Largest width times height that is decoded.
    """
    return (
        0 < structure.width * structure.height <= max_pixels
        and structure.precision == 8
        and structure.components in (1, 3)
        and structure.orientation is not None
    )


def _read_jpeg(path: Path) -> bytes | None:
    """Return the bytes of a JPEG file; None where it is none, or too large."""
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > MAX_WHOLE_BYTES or os.pread(descriptor, len(START), 0) != START:
            return None
        return os.pread(descriptor, size, 0)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)

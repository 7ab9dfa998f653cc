"""Decoded pixels, and the cutting of a model's input from them.

The pixels may be those of a photo decoded at a part of its size, as it is stored rather than
upright: a box in the whole, upright photo is found in them to a fraction of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from ecotui.engine.data.decode import UPRIGHT
from ecotui.engine.data.framing import Box, Frame, Size

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_FAST = ("bilinear", "bicubic")
"""What torch resizes 8-bit pictures with, antialiased, in a quarter of Pillow's time; it cannot
begin between two pixels."""

_WIDEST_FILTER = 3
"""Pixels of the result that a filter reaches to either side: Lanczos' three."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """A photo, or a smaller version of it.

    Attributes:
        stored_HWC: uint8 RGB, in the order of the file.
        size: Of the whole photo as it is stored, pixels.
        orientation: EXIF orientation of what is stored, 1 (upright) to 8.
        factors: Pixels of the whole photo, across and down, that became one of these.
    """

    stored_HWC: NDArray[np.uint8]
    size: Size
    orientation: int = 1
    factors: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of_image(cls, image: Image.Image) -> Pixels:
        """Return those of an upright RGB image."""
        return cls(np.asarray(image), image.size)

    def cut(self, frame: Frame, side: int, interpolation: str) -> torch.Tensor:
        """Return a part of the photo, upright, as a square uint8 `[3, side, side]`.

        Args:
            frame: The part.
            side: Pixels.
            interpolation: A name in `RESAMPLING`; antialiased, but for `nearest`.
        """
        box = _stored_box(frame.box, self.size, self.orientation)
        across, down = self.factors
        height, width = self.stored_HWC.shape[:2]
        box = (
            _within(box[0] / across, width),
            _within(box[1] / down, height),
            _within(box[2] / across, width),
            _within(box[3] / down, height),
        )
        is_whole = all(edge == int(edge) for edge in box)
        if is_whole and not frame.sees_around and interpolation in _FAST:
            cut_CHW = _resized_by_torch(self.stored_HWC, box, side, interpolation)
        else:
            cut_CHW = _resized_by_pillow(
                self.stored_HWC, box, (side, side), interpolation, frame.sees_around
            )
        return _upright(cut_CHW, self.orientation)

    def upright_image(self) -> Image.Image:
        """Return all of the pixels as an image."""
        image = Image.fromarray(self.stored_HWC)
        turn = UPRIGHT.get(self.orientation)
        return image if turn is None else image.transpose(turn)


def _within(place: float, length: int) -> float:
    """Return a place inside of a picture: its last pixel may stand for less than the others."""
    return min(max(place, 0.0), float(length))


def _stored_box(box: Box, size: Size, orientation: int) -> Box:
    """Return where a box of the upright photo lies in the stored one.

    Args:
        box: In pixels of the upright photo.
        size: Of the stored photo, pixels.
        orientation: EXIF, 1 to 8.
    """
    left, top, right, bottom = box
    if orientation >= 5:  # stored rows are columns of the upright photo
        left, top, right, bottom = top, left, bottom, right
    width, height = size
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _upright(cut_CHW: torch.Tensor, orientation: int) -> torch.Tensor:
    if orientation in (2, 3, 7, 8):
        cut_CHW = cut_CHW.flip(2)
    if orientation in (3, 4, 6, 7):
        cut_CHW = cut_CHW.flip(1)
    return in_planes(cut_CHW.transpose(1, 2)) if orientation >= 5 else cut_CHW


def in_planes(image_CHW: torch.Tensor) -> torch.Tensor:
    """Return a picture with its channels one after another in memory.

    By NumPy, which needs half of torch's time for it.
    """
    if image_CHW.is_contiguous():
        return image_CHW
    return torch.from_numpy(np.ascontiguousarray(image_CHW.numpy()))


def _resized_by_torch(
    stored_HWC: NDArray[np.uint8], box: Box, side: int, interpolation: str
) -> torch.Tensor:
    left, top, right, bottom = map(int, box)
    # One row after another: torch copies what is not, and warns of what it cannot promise not to
    # write.
    part_HWC = np.require(stored_HWC[top:bottom, left:right], requirements=("C", "W"))
    # With a first dimension that is as long as the picture: only so does torch see the layout, and
    # leave the result in it, without a slow way back to planes.
    part_BCHW = torch.from_numpy(part_HWC)[None].permute(0, 3, 1, 2)
    if part_HWC.shape[:2] != (side, side):
        part_BCHW = interpolate(part_BCHW, (side, side), mode=interpolation, antialias=True)
    return in_planes(part_BCHW[0])


def _resized_by_pillow(
    stored_HWC: NDArray[np.uint8],
    box: Box,
    size: Size,
    interpolation: str,
    sees_around: bool,
) -> torch.Tensor:
    image = resized(stored_HWC, box, size, interpolation, sees_around=sees_around)
    own: NDArray[Any] = np.array(image)
    return in_planes(torch.from_numpy(own).permute(2, 0, 1))


def resized(
    stored_HWC: NDArray[np.uint8],
    box: Box,
    size: Size,
    interpolation: str,
    *,
    sees_around: bool = True,
) -> Image.Image:
    """Return a part of a picture at another size, antialiased.

    Args:
        stored_HWC: uint8 RGB.
        box: The part, in its pixels.
        size: Width and height of the result.
        interpolation: A name in `RESAMPLING`.
        sees_around: Whether what is around the part counts at its edges.
    """
    height, width = stored_HWC.shape[:2]
    reach = [0, 0]
    if sees_around:
        spans = (box[2] - box[0], box[3] - box[1])
        reach = [
            math.ceil(_WIDEST_FILTER * max(1.0, span / new)) + 1
            for span, new in zip(spans, size, strict=True)
        ]
    # Only what is looked at is copied into an image.
    left, top = max(0, math.floor(box[0]) - reach[0]), max(0, math.floor(box[1]) - reach[1])
    right = min(width, math.ceil(box[2]) + reach[0])
    bottom = min(height, math.ceil(box[3]) + reach[1])
    part = Image.fromarray(stored_HWC[top:bottom, left:right])
    inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return part.resize(size, RESAMPLING[interpolation], box=inner)

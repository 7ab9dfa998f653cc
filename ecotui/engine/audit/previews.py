"""Small pictures of photos that a finding is about: faces never decode the user's files."""

from __future__ import annotations

import contextlib
from pathlib import Path

from PIL import Image

from ecotui.engine.data.decode import DecodeError, decode

SIDE = 128
"""Longest side, pixels."""

_GAP = 4


def small_picture(path: Path, *, max_pixels: int) -> Image.Image:
    """Return a photo at 128 pixels, as the training sees it.

    Raises:
        DecodeError: It cannot be read.
    """
    image = decode(path, max_pixels=max_pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return image


def write_preview(target: Path, path: Path, other: Path | None, *, max_pixels: int) -> bool:
    """Write a picture of a photo, or of two beside one another; say whether there is one.

    Args:
        target: PNG to write.
        path: Of the photo.
        other: Of the photo that it clashes with; None for none.
        max_pixels: Largest photo that is decoded.
    """
    pictures = []
    for each in (path, other):
        if each is not None:
            with contextlib.suppress(DecodeError):
                pictures.append(small_picture(each, max_pixels=max_pixels))
    if not pictures:
        return False
    picture = pictures[0] if len(pictures) == 1 else _beside(*pictures)
    try:
        picture.save(target, format="PNG")
    except OSError:
        return False
    return True


def _beside(one: Image.Image, other: Image.Image) -> Image.Image:
    half = (SIDE - _GAP) // 2
    for each in (one, other):
        each.thumbnail((half, SIDE), Image.Resampling.BOX)
    both = Image.new("RGB", (2 * half + _GAP, max(one.height, other.height)), "grey")
    both.paste(one, (0, 0))
    both.paste(other, (half + _GAP, 0))
    return both

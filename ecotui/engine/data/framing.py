"""Which part of a photo is looked at, chosen from its size alone, before anything is decoded."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

Size = tuple[int, int]
"""Width and height, pixels."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the whole, upright photo; may be fractional."""

_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of a photo that is made as large as the model's input.

    Attributes:
        box: The part.
        sees_around: What lies around it counts at its edges, as when the whole photo is resized
            and the part cut out afterwards.
    """

    box: Box
    sees_around: bool = False

    @property
    def shortest(self) -> float:
        """The shorter side of the part, pixels."""
        left, top, right, bottom = self.box
        return min(right - left, bottom - top)

    def on_grid(self, grain: int) -> Frame:
        """Return the same part with its edges moved up and left to multiples of a number.

        What is chosen at random may as well begin and end between pixels of the photo decoded at
        one part in `grain`: those are cut out as they are.

        Args:
            grain: Pixels; at most the part's sides.
        """
        left, top, right, bottom = self.box
        if self.sees_around or grain == 1:
            return self
        wide, high = (right - left) // grain * grain, (bottom - top) // grain * grain
        left, top = left // grain * grain, top // grain * grain
        return Frame((left, top, left + wide, top + high))


def random_frame(size: Size, scale: tuple[float, float], ratio: tuple[float, float]) -> Frame:
    """Draw a part of random area and aspect ratio from Python's generator.

    Source: torchvision's `RandomResizedCrop`, timm's variant.

    Args:
        size: Of the upright photo.
        scale: Smallest and largest share of its area.
        ratio: Smallest and largest aspect ratio, width by height.
    """
    width, height = size
    for _ in range(_ATTEMPTS):
        area = random.uniform(*scale) * width * height
        aspect = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if wide <= width and high <= height:
            top, left = random.randint(0, height - high), random.randint(0, width - wide)
            return _frame(left, top, wide, high)
    wide, high = width, height
    if width / height < ratio[0]:
        high = round(wide / ratio[0])
    elif width / height > ratio[1]:
        wide = round(high * ratio[1])
    return _frame((width - wide) // 2, (height - high) // 2, wide, high)


def _frame(left: int, top: int, wide: int, high: int) -> Frame:
    return Frame((float(left), float(top), float(left + wide), float(top + high)))


def middle_frame(size: Size, *, resized: int, side: int, longest: int) -> Frame:
    """Return the square in the middle that evaluation looks at.

    Source: torchvision's `Resize` and `CenterCrop` one after another, with their rounding.

    Args:
        size: Of the upright photo.
        resized: To which the shorter side is resized, pixels.
        side: Of the square that is cut out then, pixels.
        longest: A photo longer than this, in shorter sides, is trimmed before: its ends are not
            in the middle, and their resizing makes gigapixels.
    """
    limit = min(size) * longest
    width, height = min(size[0], limit), min(size[1], limit)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    short, long = min(width, height), max(width, height)
    other = int(resized * long / short)
    new_width, new_height = (resized, other) if width <= height else (other, resized)
    across, down = width / new_width, height / new_height
    x, y = round((new_width - side) / 2.0), round((new_height - side) / 2.0)
    box = (left + x * across, top + y * down, left + (x + side) * across, top + (y + side) * down)
    return Frame(box, sees_around=True)

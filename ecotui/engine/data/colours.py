"""Colour jitter and erasing of small 8-bit pictures, in few passes over their pixels.

No result depends on the number of threads: every operation is exact, or rounds each number by
itself.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import torch

_LUMA = (0.299, 0.587, 0.114)
"""Source: ITU-R BT.601, as Pillow's conversion to grey."""

_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT = (0.3, 1 / 0.3)
"""Source: timm's `RandomErasing`."""
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class ColourJitter:
    """Changes brightness, contrast and saturation at random, in random order.

    Each of the three maps a pixel x to `a * x + b * grey(x) + c`, with one b and c for all
    channels, and so does any sequence of them: all is done at once. Unlike torchvision's, which
    rounds and cuts off after each, nothing is lost between them.

    Attributes:
        strength: Factors are drawn from 1 - strength (at least 0) to 1 + strength.
    """

    strength: float

    def __call__(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """Return a changed copy of a uint8 RGB picture."""
        order = torch.randperm(3).tolist()
        low, high = max(0.0, 1.0 - self.strength), 1.0 + self.strength
        factors = torch.empty(3).uniform_(low, high).tolist()
        values_CHW = image_CHW.float()
        # Whole numbers below 2^24 a row: exact in any order.
        sums = values_CHW.sum(dim=2).sum(dim=1, dtype=torch.float64).tolist()
        total = sum(weight * each for weight, each in zip(_LUMA, sums, strict=True))
        mean = total / max(1, image_CHW[0].numel())
        return _mapped(values_CHW, *_composed(order, factors, mean))


def _composed(order: list[int], factors: list[float], mean: float) -> tuple[float, float, float]:
    """Return a, b and c of the whole sequence.

    Args:
        order: Of brightness (0), contrast (1) and saturation (2).
        factors: Of each of them.
        mean: Grey of the picture, on average.
    """
    own, grey, offset = 1.0, 0.0, 0.0
    for kind in order:
        factor = factors[kind]
        if kind == 0:
            own, grey, offset = factor * own, factor * grey, factor * offset
        elif kind == 1:
            middle = (own + grey) * mean + offset
            own, grey = factor * own, factor * grey
            offset = factor * offset + (1.0 - factor) * middle
        else:
            # The grey of a * x + b * grey(x) + c is (a + b) * grey(x) + c.
            own, grey = factor * own, factor * grey + (1.0 - factor) * (own + grey)
    return own, grey, offset


def _mapped(values_CHW: torch.Tensor, own: float, grey: float, offset: float) -> torch.Tensor:
    # In NumPy what it is faster at: its loops are wider than torch's, and begin sooner.
    planes = values_CHW.numpy()
    greys_HW = planes[0] * np.float32(_LUMA[0] * grey)
    greys_HW += planes[1] * np.float32(_LUMA[1] * grey)
    greys_HW += planes[2] * np.float32(_LUMA[2] * grey)
    greys_HW += np.float32(offset + 0.5)  # what is cut off next is rounded
    planes *= np.float32(own)
    planes += greys_HW
    values_CHW.clamp_(0.0, 255.5)
    return torch.from_numpy(planes.astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Erasing:
    """Fills a random rectangle with the mean colour of the model's input.

    Attributes:
        probability: Of doing so, 0 to 1.
        colour: R, G and B, 0 to 255.
    """

    probability: float
    colour: tuple[int, int, int]

    def __call__(self, image_CHW: torch.Tensor) -> torch.Tensor:
        """Return the picture, or a copy with a rectangle filled."""
        if random.random() >= self.probability:
            return image_CHW
        height, width = image_CHW.shape[1:]
        for _ in range(_ATTEMPTS):
            area = random.uniform(*_ERASED_AREA) * height * width
            aspect = math.exp(random.uniform(*map(math.log, _ERASED_ASPECT)))
            high, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if high < height and wide < width:
                top, left = random.randint(0, height - high), random.randint(0, width - wide)
                erased = image_CHW.clone()
                fill = torch.tensor(self.colour, dtype=torch.uint8)[:, None, None]
                erased[:, top : top + high, left : left + wide] = fill
                return erased
        return image_CHW

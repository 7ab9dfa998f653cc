"""Photos become model inputs: timm's transforms, sized by the one input specification."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import Compose

from ecotui.config import AugmentConfig
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.randomness import borrowed_randomness
from ecotui.errors import UsageError
from ecotui.text import visible

Transform = Callable[[Image.Image], torch.Tensor]
"""RGB photo to normalised float32 tensor `[3, image_size, image_size]`."""

_LONGEST_ASPECT = 8
"""A photo longer than this is trimmed before evaluation's resize, which looks at its middle."""

_SMALLEST_AREA = 1e-3
_LARGEST_FLOOR = 64


@dataclass(frozen=True, slots=True)
class Transforms:
    """What is done to a photo, for training (random) and for evaluation (not)."""

    train: Transform
    evaluate: Transform


def build_transforms(spec: InputSpec, augment: AugmentConfig) -> Transforms:
    """Return the transforms for a model's input, tried once on a plain image.

    Args:
        spec: Size, normalisation, interpolation and crop of the model's input.
        augment: Strength of the training augmentation.

    Raises:
        UsageError: `augment.auto_augment` is no policy that timm knows.
    """
    scale = (max(augment.scale[0], _SMALLEST_AREA), max(augment.scale[1], _SMALLEST_AREA))
    try:
        train = create_transform(
            **_shared(spec),
            is_training=True,
            scale=scale,
            ratio=augment.ratio,
            hflip=augment.horizontal_flip,
            vflip=augment.vertical_flip,
            color_jitter=augment.color_jitter or None,
            auto_augment=augment.auto_augment,
            re_prob=augment.random_erasing,
        )
        transforms = Transforms(
            train=Compose([AtLeast(_smallest_side(scale, augment.ratio)), train]),
            evaluate=Compose([Trimmed(_LONGEST_ASPECT), create_transform(**_shared(spec))]),
        )
        with borrowed_randomness(0):
            transforms.train(Image.new("RGB", (8, 8), "grey"))
    except Exception as error:
        if augment.auto_augment is None:
            raise
        raise _bad_policy(augment.auto_augment, error) from None
    return transforms


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Stretches a side that is too short for a random crop to take a whole pixel of.

    A crop of no pixels is not refused by torchvision: it becomes a black image.

    Attributes:
        side: Shortest side to come out, pixels.
    """

    side: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image, or a stretched copy of it."""
        size = (max(image.width, self.side), max(image.height, self.side))
        return image if size == image.size else image.resize(size)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Cuts the ends off a very long photo.

    Resizing a strip by its shorter side makes gigapixels, of which the centre crop
    that follows keeps one square.

    Attributes:
        aspect: Longest side to come out, in shorter sides.
    """

    aspect: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the image, or the middle of it."""
        longest = min(image.size) * self.aspect
        width, height = min(image.width, longest), min(image.height, longest)
        if (width, height) == image.size:
            return image
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))


def _shared(spec: InputSpec) -> dict[str, object]:
    return {
        "input_size": (3, spec.image_size, spec.image_size),
        "interpolation": spec.interpolation,
        "mean": spec.mean,
        "std": spec.std,
        "crop_pct": spec.crop_fraction,
        "use_prefetcher": False,
    }


def _smallest_side(scale: tuple[float, float], ratio: tuple[float, float]) -> int:
    """Return the shortest side of which every crop rounds to at least one pixel."""
    narrowest = math.sqrt(scale[0] * min(ratio[0], 1.0 / ratio[1]))
    fallback = min(1.0 / ratio[0], ratio[1])
    return min(int(0.5 / min(narrowest, fallback)) + 1, _LARGEST_FLOOR)


def _bad_policy(policy: str, error: Exception) -> UsageError:
    why = f" ({visible(error)})" if str(error) else ""
    return UsageError(
        f"augment.auto_augment = '{visible(policy)}' is no policy that timm knows{why}",
        "a policy such as rand-m9-mstd0.5-inc1, augmix-m5-w4-d2, 3a, original or v0",
        "correct augment.auto_augment, or remove it",
    )

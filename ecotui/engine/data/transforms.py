"""Photos become model inputs: timm's augmentation and evaluation, on 8-bit pixels.

Which part of a photo is looked at is chosen first, from its size: no more of it is decoded than
that takes. Normalisation comes later, for a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform

from ecotui.config import AugmentConfig
from ecotui.engine.data.colours import ColourJitter, Erasing
from ecotui.engine.data.framing import Frame, middle_frame, random_frame
from ecotui.engine.data.pixels import in_planes
from ecotui.engine.data.sources import Decoded, Source, shrinking
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.normalising import Normalisation, Triple
from ecotui.engine.randomness import borrowed_randomness
from ecotui.errors import UsageError
from ecotui.text import visible

Transform = Callable[[Image.Image], torch.Tensor]
"""RGB photo to uint8 tensor `[3, image_size, image_size]`; float32 is taken for normalised."""

PIXELS_VERSION = 4
"""Of how files become pixels. A run that began with another one goes on, not to the last bit."""

_LONGEST_ASPECT = 8
"""A photo longer than this is trimmed before evaluation's resize, which looks at its middle."""

_SMALLEST_AREA = 1e-3
_LARGEST_FLOOR = 64


@dataclass(frozen=True, slots=True)
class Transforms:
    """What is done to a photo, for training (random) and for evaluation (not).

    Attributes:
        normalisation: What is done to both later, for a whole batch.
    """

    train: Transform
    evaluate: Transform
    normalisation: Normalisation


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
        policy = None if augment.auto_augment is None else _policy(spec, augment)
        with borrowed_randomness(0):
            if policy is not None:
                policy(Image.new("RGB", (8, 8), "grey"))
    except Exception as error:
        raise _bad_policy(augment.auto_augment or "", error) from None
    return Transforms(
        train=TrainTransform(spec, augment, scale, policy),
        evaluate=EvaluationTransform(spec),
        normalisation=Normalisation(_triple(spec.mean), _triple(spec.std)),
    )


class TrainTransform:
    """A random part of a photo, flipped and changed at random.

    Args:
        spec: Of the model's input.
        augment: Strength of the augmentation.
        scale: Smallest and largest share of the area that a part takes.
        policy: timm's, in the place of the colour jitter.

    Attributes:
        draws_from_numpy: Whether it draws from NumPy's generator: timm's policies do.
    """

    def __init__(
        self,
        spec: InputSpec,
        augment: AugmentConfig,
        scale: tuple[float, float],
        policy: Callable[[Image.Image], Image.Image] | None,
    ) -> None:
        self._spec, self._augment, self._scale, self._policy = spec, augment, scale, policy
        self._shortest = _smallest_side(scale, augment.ratio)
        strength = 0.0 if policy is not None else augment.color_jitter
        self._jitter = ColourJitter(strength) if strength else None
        mean = tuple(min(255, round(255 * value)) for value in spec.mean)
        self._erasing = Erasing(augment.random_erasing, (mean[0], mean[1], mean[2]))
        self.draws_from_numpy = policy is not None

    def __call__(self, photo: Image.Image) -> torch.Tensor:
        """Return a photo's part, uint8 `[3, S, S]`."""
        return self.of(Decoded(photo))

    def of(self, source: Source) -> torch.Tensor:
        """Return the same of a photo that is not decoded yet.

        Raises:
            DecodeError: It cannot be.
        """
        augment = self._augment
        if min(source.size) < self._shortest:
            whole = source.pixels(1.0).upright_image()
            source = Decoded(AtLeast(self._shortest)(whole))
        frame = random_frame(source.size, self._scale, augment.ratio)
        frame = frame.on_grid(shrinking(_most_factor(frame, self._spec)))
        image_CHW = _cut(source, frame, self._spec)
        if _happens(augment.horizontal_flip):
            image_CHW = image_CHW.flip(2)
        if _happens(augment.vertical_flip):
            image_CHW = image_CHW.flip(1)
        if self._policy is not None:
            image_CHW = _through(self._policy, image_CHW)
        if self._jitter is not None:
            image_CHW = self._jitter(image_CHW)
        return self._erasing(image_CHW)


class EvaluationTransform:
    """The middle of a photo; the pixels that timm's evaluation makes of it, but for rounding.

    Args:
        spec: Of the model's input.
    """

    draws_from_numpy = False

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec

    def __call__(self, photo: Image.Image) -> torch.Tensor:
        """Return a photo's middle, uint8 `[3, S, S]`."""
        return self.of(Decoded(photo))

    def of(self, source: Source) -> torch.Tensor:
        """Return the same of a photo that is not decoded yet.

        Raises:
            DecodeError: It cannot be.
        """
        side = self._spec.image_size
        resized = math.floor(side / self._spec.crop_fraction)
        frame = middle_frame(source.size, resized=resized, side=side, longest=_LONGEST_ASPECT)
        return _cut(source, frame, self._spec)


def _cut(source: Source, frame: Frame, spec: InputSpec) -> torch.Tensor:
    pixels = source.pixels(_most_factor(frame, spec))
    return pixels.cut(frame, spec.image_size, spec.interpolation)


def _most_factor(frame: Frame, spec: InputSpec) -> float:
    # Which pixels `nearest` takes is not to depend on how a photo is decoded.
    return 1.0 if spec.interpolation == "nearest" else frame.shortest / spec.image_size


def _happens(probability: float) -> bool:
    return probability > 0.0 and float(torch.rand(1)) < probability


def _policy(spec: InputSpec, augment: AugmentConfig) -> Callable[[Image.Image], Image.Image]:
    """Return what timm makes of a policy string, with the colour jitter that some come with."""
    stages = create_transform(
        (3, spec.image_size, spec.image_size),
        is_training=True,
        interpolation=spec.interpolation,
        mean=spec.mean,
        color_jitter=augment.color_jitter or None,
        auto_augment=augment.auto_augment,
        separate=True,
    )
    policy: Callable[[Image.Image], Image.Image] = stages[1]
    return policy


def _through(policy: Callable[[Image.Image], Image.Image], image_CHW: torch.Tensor) -> torch.Tensor:
    image = Image.fromarray(np.ascontiguousarray(image_CHW.permute(1, 2, 0).numpy()))
    return in_planes(torch.from_numpy(np.array(policy(image))).permute(2, 0, 1))


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


def _triple(values: Sequence[float]) -> Triple:
    """Return three numbers as a tuple: a configuration that was read from JSON has lists."""
    first, second, third = values
    return first, second, third


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

"""What a model takes in: the one source of size and normalisation for every transform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input that a model was built for.

    Attributes:
        image_size: Side of the square input, pixels.
        mean: Of each channel (R, G, B), subtracted from values in 0 to 1.
        std: Of each channel, divided by.
        interpolation: `bilinear`, `bicubic`, `nearest` or `lanczos`.
        crop_fraction: Share of the resized photo that evaluation looks at, 0 to 1.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_fraction: float

"""Pixels become what a network computes with, a whole batch at once, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation of each channel (R, G, B), of values in 0 to 1."""

    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def __call__(
        self, images: torch.Tensor, memory_format: torch.memory_format = torch.contiguous_format
    ) -> torch.Tensor:
        """Return 8-bit images `[..., 3, H, W]` as float32, normalised; others as they are.

        The steps of timm's `PrefetchLoader`, to the same bits. torchvision's `ToTensor` and
        `Normalize` need one more for what differs in the last bits.

        Args:
            images: One or several, on any device.
            memory_format: Of the result, for several.
        """
        if images.dtype != torch.uint8:
            return images
        mean, std = _constants(self.mean, self.std, str(images.device))
        if images.dim() != 4:
            return images.to(torch.float32).sub_(mean).div_(std)
        if images.device.type == "cpu":
            # Channels that lie beside each other take the CPU three times as long: brought there
            # at the end.
            floats = images.to(torch.float32, memory_format=torch.contiguous_format)
            return floats.sub_(mean).div_(std).contiguous(memory_format=memory_format)
        return images.to(torch.float32, memory_format=memory_format).sub_(mean).div_(std)


PLAIN = Normalisation()


@lru_cache(maxsize=16)
def _constants(mean: Triple, std: Triple, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both, of values in 0 to 255, where the images are.

    Copied there once, since each copy makes a host wait.
    """
    with torch.inference_mode(False):  # whoever asks first: they are used in training, too
        first, second = (
            torch.tensor([255.0 * value for value in each], device=device)[:, None, None]
            for each in (mean, std)
        )
    return first, second

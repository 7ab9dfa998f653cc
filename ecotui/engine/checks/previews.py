"""Small pictures of what the transforms make of photos, for people to look at."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ecotui.engine.checks.material import Material
from ecotui.engine.data.dataset import Sample
from ecotui.engine.emit import Emit
from ecotui.engine.input_spec import InputSpec
from ecotui.events import SplitName
from ecotui.plans import PreviewWritten

MAX_SIDE = 128
"""Longest side of a preview, pixels."""
NUM_PREVIEWS = 4
"""Of each split."""
CAPTIONS = {
    "train": "augmented for the first epoch, as the model will see it",
    "val": "as the model will see it in validation",
}


def write_previews(material: Material, emit: Emit) -> None:
    """Write a few samples of training and validation as PNG, un-normalised.

    Raises:
        OSError: The run directory cannot be written.

    Emits:
        PreviewWritten.
    """
    for split in ("train", "val"):
        for number, sample in enumerate(_spread(material.samples.get(split, []))):
            _write(material, split, number, sample, emit)


def as_picture(image_CHW: torch.Tensor, spec: InputSpec) -> Image.Image:
    """Return a sample as a picture of at most 128 pixels, the normalisation undone.

    Args:
        image_CHW: uint8, or float32, normalised, [3, S, S].
        spec: Whose mean and deviation were applied.
    """
    if image_CHW.dtype != torch.uint8:
        mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
        pixels_CHW = (image_CHW * std + mean).nan_to_num(0.0).clamp(0, 1)
        image_CHW = (pixels_CHW * 255).round().to(torch.uint8)
    pixels_HWC = image_CHW.permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels_HWC))
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    return picture


def _spread(samples: list[Sample]) -> list[Sample]:
    count = min(NUM_PREVIEWS, len(samples))
    return [samples[len(samples) * place // count] for place in range(count)]


def _write(material: Material, split: SplitName, number: int, sample: Sample, emit: Emit) -> None:
    if split == "test" or sample.image_CHW.dim() != 3 or sample.image_CHW.shape[0] != 3:
        return
    folder = material.run.previews
    folder.mkdir(exist_ok=True)
    path = folder / f"{split}-{number}.png"
    as_picture(sample.image_CHW, material.parts.built.spec).save(path)
    emit(
        PreviewWritten(
            subject=split,
            path=str(path.relative_to(material.run.path)),
            source=material.name(sample.sample_id),
            caption=CAPTIONS[split],
        )
    )

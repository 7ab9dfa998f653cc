"""Made pictures sent through the transforms: is red still red, is the normalisation right?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import timm.data
import torch
from PIL import Image

from ecotui.engine.checks.finding import Finding, failed, passed
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.transforms import BROKEN_INSTALLATION
from ecotui.engine.data.decode import decode
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
GREYS = (0, 51, 102, 153, 204, 255)
"""Levels of the grey ramp, each a flat picture, so that no resizing blends them."""
NORMALISATION_TOLERANCE = 0.01
"""By so much may mean and deviation differ, of pixels in 0 to 1. Source: the closest two that
timm's models are published with (OpenAI's CLIP and ImageNet) differ by 0.004 to 0.05 a channel,
by more than 0.01 in at least one."""
NUM_DRAWS = 5
"""Times that each colour is augmented; the median of them counts."""
_FORMATS = ("png", "jpg")
_SIDE = 64

Response = Callable[[Image.Image], torch.Tensor]


def check_channel_order(material: Material) -> list[Finding]:
    """Check that a red picture, read from a file, is red where the model expects red."""
    transforms, config = material.parts.transforms, material.parts.config
    seed = config.train.seed

    def evaluated(picture: Image.Image) -> torch.Tensor:
        return material.as_input(transforms.evaluate(picture)).mean(dim=(1, 2))

    def augmented(picture: Image.Image) -> torch.Tensor:
        draws = []
        for draw in range(NUM_DRAWS):
            with borrowed_randomness(derive_seed(seed, "colours", draw)):
                image_CHW = material.as_input(transforms.train(picture.copy()))
                draws.append(image_CHW.mean(dim=(1, 2)))
        return torch.stack(draws).median(dim=0).values

    tried: list[tuple[str, Response]] = [("evaluation", evaluated)]
    if config.augment.auto_augment is None:
        # A policy may invert or rotate colours on purpose.
        tried.append(("training", augmented))
    for purpose, response in tried:
        for name, pictures in _made().items():
            order = _order(pictures, response)
            if order != tuple(COLOURS):
                return [
                    failed(
                        "channel_order",
                        f"in {purpose}, the channels of a picture ({name}) come as "
                        f"{', '.join(order)}",
                        ", ".join(COLOURS),
                        BROKEN_INSTALLATION,
                        order=order,
                    )
                ]
        material.poll()
    return [passed("channel_order", "channels come as red, green, blue", order=tuple(COLOURS))]


def _order(pictures: dict[str, Image.Image], response: Response) -> tuple[str, ...]:
    """Return the colour that each channel answers to most, black taken off."""
    black = response(pictures["black"])
    answers = torch.stack([response(pictures[name]) - black for name in COLOURS])
    names = tuple(COLOURS)
    return tuple(names[int(answers[:, channel].argmax())] for channel in range(answers.shape[1]))


def _made() -> dict[str, dict[str, Image.Image]]:
    """Return flat pictures by format and colour, as the decoder reads them from files."""
    made: dict[str, dict[str, Image.Image]] = {}
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        for ending in _FORMATS:
            made[ending] = {}
            for name, colour in {"black": (0, 0, 0), **COLOURS}.items():
                path = Path(folder) / f"{name}.{ending}"
                Image.new("RGB", (_SIDE, _SIDE), colour).save(path)
                made[ending][name] = decode(path, max_pixels=_SIDE * _SIDE)
    return made


def check_normalisation(material: Material) -> list[Finding]:
    """Check mean and deviation that the evaluation transform applies, measured on a grey ramp."""
    mean, std, residual = _measured(material)
    own_mean, own_std = _own(material)
    differences = [abs(a - b) for a, b in zip((*mean, *std), (*own_mean, *own_std), strict=True)]
    figures = {"mean": mean, "std": std, "own_mean": own_mean, "own_std": own_std}
    if max(differences) > NORMALISATION_TOLERANCE or residual > NORMALISATION_TOLERANCE:
        return [
            failed(
                "normalisation",
                f"the transforms normalise with mean {_told(mean)}, deviation {_told(std)}",
                f"mean {_told(own_mean)}, deviation {_told(own_std)}, what the model was made for",
                BROKEN_INSTALLATION,
                **figures,
            )
        ]
    return [
        passed(
            "normalisation",
            f"photos are normalised as the model was made for: mean {_told(mean)}, deviation "
            f"{_told(std)}",
            **figures,
        )
    ]


def _measured(
    material: Material,
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Return mean, deviation and how far from a straight line the ramp comes out.

    A grey g in 0 to 1 becomes (g - mean) / std: slope and offset of a line, by least squares.
    """
    transform = material.parts.transforms.evaluate
    greys_G = torch.tensor(GREYS, dtype=torch.float64) / 255
    became_GC = torch.stack(
        [
            material.as_input(transform(Image.new("RGB", (_SIDE, _SIDE), (grey, grey, grey)))).mean(
                dim=(1, 2)
            )
            for grey in GREYS
        ]
    ).double()
    design_G2 = torch.stack([greys_G, torch.ones_like(greys_G)], dim=1)
    slope_C, offset_C = torch.linalg.lstsq(design_G2, became_GC).solution
    slope_C = torch.where(slope_C.abs() < 1e-9, torch.full_like(slope_C, 1e-9), slope_C)
    line_GC = design_G2 @ torch.stack([slope_C, offset_C])
    residual = float(((became_GC - line_GC) / slope_C).abs().max())
    return tuple((-offset_C / slope_C).tolist()), tuple((1 / slope_C).tolist()), residual


def _own(material: Material) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what the model was published with; what it was built for where nothing is known."""
    spec, network = material.parts.built.spec, material.parts.trainable.network
    if not getattr(network, "pretrained_cfg", None):
        return spec.mean, spec.std
    own = timm.data.resolve_data_config({}, model=network)
    return tuple(own["mean"]), tuple(own["std"])


def _told(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3f}" for value in values)

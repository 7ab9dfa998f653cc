"""How much of a photo the augmentation leaves, measured on made pictures and on real ones.

What is drawn follows from a seed, so the same draw can be repeated on several pictures.
"""

from __future__ import annotations

from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ecotui.engine.checks.finding import Finding, passed, warned
from ecotui.engine.checks.material import Material
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed
from ecotui.text import percent

MIN_KEPT_FRACTION = 0.25
"""Below this share of a photo's area, in half of all draws, too little of it is left: half its
width and height. The usual strong crop (a scale of 0.08 to 1, Inception's) leaves 54%."""
MAX_HIDDEN_FRACTION = 0.5
"""Above this share of the picture, what is to be seen is mostly filled in or erased."""
MIN_CONTRAST_FRACTION = 0.25
"""Below this share of the contrast that evaluation leaves, a photo is washed out."""
NUM_DRAWS = 12
MIN_DRAWS = 4
BUDGET_FRACTION = 0.05
"""Share of the time left after which fewer draws have to do."""
_SIDE = 128
_CELL = 16
"""Side of a field of the chequered picture: small enough for any usual crop to show two."""
_GREYS = (89, 166)
"""Darkest and lightest: brighter or with more contrast, they are still no black and white."""
_MAX_PIXELS = 100_000
_SEEN = 0.1
"""By so much of the range from black to white a pixel has to change, to be taken for changed."""


def check_augmentation_strength(material: Material) -> list[Finding]:
    """Check that half of the augmented pictures show a fair share of their photo."""
    kept, hidden = [], []
    until = material.budget.left * (1 - BUDGET_FRACTION)
    for draw in range(NUM_DRAWS):
        material.poll()
        if draw >= MIN_DRAWS and material.budget.left < until:
            break
        probe = _Probe(material, draw)
        hidden.append(probe.hidden_fraction)
        kept.append(probe.kept_fraction())
    contrast = _contrast_fraction(material)
    figures = {
        "kept_fraction": median(kept),
        "hidden_fraction": median(hidden),
        "contrast_fraction": contrast,
        "num_draws": len(kept),
    }
    faults = []
    if median(kept) < MIN_KEPT_FRACTION:
        low, high = material.parts.config.augment.scale
        faults.append(
            (
                f"crops show {percent(median(kept), 0)} of the photo's area",
                f"--set 'augment.scale=[{max(low, 0.35)}, {max(high, 1.0)}]'",
            )
        )
    if median(hidden) > MAX_HIDDEN_FRACTION:
        faults.append(
            (
                f"{percent(median(hidden), 0)} of the picture is erased or filled in",
                "--set augment.random_erasing=0.25",
            )
        )
    if contrast is not None and contrast < MIN_CONTRAST_FRACTION:
        faults.append(
            (
                f"{percent(contrast, 0)} of the contrast is left",
                "--set augment.color_jitter=0.4"
                if material.parts.config.augment.auto_augment is None
                else "remove augment.auto_augment",
            )
        )
    if not faults:
        share = percent(median(kept), 0)
        return [passed("augmentation_strength", f"crops show {share} of a photo", **figures)]
    return [
        warned(
            "augmentation_strength",
            f"augmentation leaves little of the photos: in half of {len(kept)} draws, "
            + ", and ".join(what for what, _ in faults),
            f"at least {MIN_KEPT_FRACTION:.0%} of the area, at most {MAX_HIDDEN_FRACTION:.0%} "
            f"hidden, {MIN_CONTRAST_FRACTION:.0%} of the contrast",
            " ".join(remedy for _, remedy in faults),
            **figures,
        )
    ]


class _Probe:
    """One draw of the training transform, repeated on made pictures."""

    def __init__(self, material: Material, draw: int) -> None:
        self._material = material
        self._seed = derive_seed(material.parts.config.train.seed, "strength", draw)
        black, white = self._come_out(_flat(0)), self._come_out(_flat(255))
        is_shown = (white - black).abs().amax(dim=0) > _SEEN / max(material.parts.built.spec.std)
        self._is_shown = is_shown
        self.hidden_fraction = 1.0 - float(is_shown.float().mean())

    def kept_fraction(self) -> float:
        """Return the share of the photo's area that is to be seen, 0 to 1.

        A ramp that is cut to half its width shows half its range of greys. Brightness and
        contrast scale that range, and that of a chequered picture of the same two greys
        alike, wherever it is cut.
        """
        if not bool(self._is_shown.any()):
            return 0.0
        # The fields' own greys, without what resizing overshoots at their edges.
        whole = self._range(_chequered(), 0.2)
        if whole <= 0.0:
            return 1.0
        ramps = (_ramp(), _ramp().transpose(Image.Transpose.TRANSPOSE))
        # A ramp has 90% of its range between its outer twentieths.
        width, height = (min(1.0, self._range(ramp, 0.05) / 0.9 / whole) for ramp in ramps)
        return width * height

    def _range(self, picture: Image.Image, margin: float) -> float:
        """Return the range of the first channel without a share of the pixels at either end."""
        shown = self._come_out(picture)[0][self._is_shown]
        shown = shown[:: max(1, shown.numel() // _MAX_PIXELS)]
        low, high = torch.quantile(shown, torch.tensor([margin, 1 - margin])).tolist()
        return float(high - low)

    def _come_out(self, picture: Image.Image) -> torch.Tensor:
        with borrowed_randomness(self._seed):
            return self._material.as_input(self._material.parts.transforms.train(picture))


def _flat(grey: int) -> Image.Image:
    return Image.new("RGB", (_SIDE, _SIDE), (grey, grey, grey))


def _ramp() -> Image.Image:
    row = np.linspace(*_GREYS, _SIDE).round().astype(np.uint8)
    return _grey(np.broadcast_to(row, (_SIDE, _SIDE)))


def _chequered() -> Image.Image:
    places = np.arange(_SIDE) // _CELL
    is_light = (places[:, None] + places[None, :]) % 2 == 1
    return _grey(np.where(is_light, np.uint8(_GREYS[1]), np.uint8(_GREYS[0])))


def _grey(pixels_HW: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.repeat(pixels_HW[:, :, None], 3, axis=2))


def _contrast_fraction(material: Material) -> float | None:
    """Return the contrast of augmented photos over that of the same ones in evaluation.

    None where the photos have no contrast to lose.
    """
    evaluate = material.parts.transforms.evaluate
    shares = []
    for sample in material.samples["train"]:
        material.poll()
        photo = material.photo(sample.sample_id)
        if photo is None:
            continue
        before = float(material.as_input(evaluate(photo)).std())
        if before * max(material.parts.built.spec.std) > _SEEN / 2:
            shares.append(float(material.as_input(sample.image_CHW).std()) / before)
    return median(shares) if shares else None

"""How much of a photo the augmentation leaves, measured on made pictures and on real ones.

A picture comes out by a seed, so the same draw can be repeated on pictures that differ in
one place: where the results differ, that place is to be seen.
"""

from __future__ import annotations

from statistics import median

import torch
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
NUM_DRAWS = 16
NUM_STRIPES = 8
_SIDE = 128
_SEEN = 0.1
"""By so much of the range from black to white a pixel has to change, to be taken for changed."""


def check_augmentation_strength(material: Material) -> list[Finding]:
    """Check that half of the augmented pictures show a fair share of their photo."""
    kept, hidden = [], []
    for draw in range(NUM_DRAWS):
        material.poll()
        probe = _Probe(material, draw)
        hidden.append(probe.hidden_fraction())
        kept.append(probe.kept_fraction("width") * probe.kept_fraction("height"))
    contrast = _contrast_fraction(material)
    figures = {
        "kept_fraction": median(kept),
        "hidden_fraction": median(hidden),
        "contrast_fraction": contrast,
        "num_draws": NUM_DRAWS,
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
            f"augmentation leaves little of the photos: in half of {NUM_DRAWS} draws, "
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
        self._transform = material.parts.transforms.train
        self._seed = derive_seed(material.parts.config.train.seed, "strength", draw)
        spec = material.parts.built.spec
        self._range = 1 / max(spec.std)

    def _come_out(self, picture: Image.Image) -> torch.Tensor:
        with borrowed_randomness(self._seed):
            return self._transform(picture)

    def _differs(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return ((one - other).abs() > _SEEN * self._range).any(dim=0)

    def hidden_fraction(self) -> float:
        """Return the share of the result that is the same for a black and for a white photo."""
        size = (_SIDE, _SIDE)
        black = self._come_out(Image.new("RGB", size, "black"))
        white = self._come_out(Image.new("RGB", size, "white"))
        return 1.0 - float(self._differs(black, white).float().mean())

    def kept_fraction(self, direction: str) -> float:
        """Return the share of the photo's width or height that is to be seen.

        A stripe of an eighth that is wholly in view takes up an eighth of the photo over
        what is kept of it: the largest share of any stripe tells what is kept.
        """
        grey = self._come_out(Image.new("RGB", (_SIDE, _SIDE), "grey"))
        step = _SIDE // NUM_STRIPES
        shares = []
        for stripe in range(NUM_STRIPES):
            low, high = stripe * step, (stripe + 1) * step
            box = (low, 0, high, _SIDE) if direction == "width" else (0, low, _SIDE, high)
            picture = Image.new("RGB", (_SIDE, _SIDE), "grey")
            picture.paste("white", box)
            shares.append(float(self._differs(self._come_out(picture), grey).float().mean()))
        largest = max(shares)
        return 1.0 if largest == 0.0 else min(1.0, 1 / NUM_STRIPES / largest)


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
        before = float(evaluate(photo).std())
        if before * max(material.parts.built.spec.std) > _SEEN / 2:
            shares.append(float(sample.image_CHW.std()) / before)
    return median(shares) if shares else None

"""What the transforms make of real photos: size, kind and range of numbers, twice the same."""

from __future__ import annotations

import hashlib

import torch

from ecotui.engine.checks.finding import Finding, failed, noted, passed, warned
from ecotui.engine.checks.material import EPOCH, Material
from ecotui.engine.data.dataset import Sample
from ecotui.engine.generators import pack_generators
from ecotui.engine.randomness import borrowed_randomness
from ecotui.text import counted, listed

RANGE_TOLERANCE = 0.05
"""By so much may a normalised value lie outside what black and white become: rounding."""
NUM_REPEATED = 3
"""Photos that are transformed twice."""
BROKEN_INSTALLATION = (
    "no setting leads here: reinstall what transforms photos (pip install --force-reinstall "
    "timm torchvision pillow), and report it"
)


def check_samples(material: Material) -> list[Finding]:
    """Check that photos of both splits became samples."""
    for split, failures in material.failures.items():
        if not material.samples[split]:
            reasons = listed((failure.reason for failure in failures), limit=2)
            return [
                failed(
                    "samples",
                    f"none of {counted(len(failures), 'photo')} of the {split} split could be "
                    f"used: {reasons}",
                    "photos that can be decoded and transformed",
                    "look at the files named; --set preflight.level=full looks at every one",
                )
            ]
    failures = [failure for several in material.failures.values() for failure in several]
    total = len(material.all_samples) + len(failures)
    if failures:
        named = (f"{material.name(failure.sample_id)} ({failure.reason})" for failure in failures)
        return [
            warned(
                "samples",
                f"{len(failures)} of {total} photos could not be used: {listed(named, limit=3)}",
                "photos that can be decoded",
                "replace or remove them; training leaves them out",
                num_photos=total,
                num_unusable=len(failures),
            )
        ]
    wanted = total + material.num_unsampled
    of = f"{total} of {wanted}" if material.num_unsampled else f"{total}"
    return [passed("samples", f"{of} photos were read and transformed", num_photos=total)]


def check_image_size(material: Material) -> list[Finding]:
    """Check the shape of every sample against what the model takes."""
    size = material.image_size
    for sample in material.all_samples:
        shape = tuple(sample.image_CHW.shape)
        if shape != (3, size, size):
            return [
                failed(
                    "image_size",
                    f"the transforms make {shape} of {material.name(sample.sample_id)}",
                    f"(3, {size}, {size}), what the model takes",
                    f"--set data.image_size={size} (or auto)",
                    found=shape,
                    image_size=size,
                )
            ]
    count = len(material.all_samples)
    return [
        passed(
            "image_size",
            f"all {count} checked images are {size}x{size}",
            num_images=count,
            image_size=size,
        )
    ]


def check_output(material: Material) -> list[Finding]:
    """Check that samples are finite float32 within the range that normalised pixels have."""
    spec = material.parts.built.spec
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    low, high = (0 - mean) / std - RANGE_TOLERANCE, (1 - mean) / std + RANGE_TOLERANCE
    for sample in material.all_samples:
        found = _fault(material.as_input(sample.image_CHW), low, high)
        if found:
            what, expected = found
            name = material.name(sample.sample_id)
            return [
                failed("transform_output", f"{name} becomes {what}", expected, BROKEN_INSTALLATION)
            ]
    images = [material.as_input(sample.image_CHW) for sample in material.all_samples]
    lows, highs = ([float(image.aminmax()[end]) for image in images] for end in (0, 1))
    return [
        passed(
            "transform_output",
            f"pixels are finite float32 from {min(lows):.2f} to {max(highs):.2f}",
            smallest=min(lows),
            largest=max(highs),
        )
    ]


def _fault(
    image_CHW: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> tuple[str, str] | None:
    """Return what is wrong with a picture's numbers and what was expected; None where nothing."""
    if image_CHW.dtype != torch.float32:
        return f"numbers of kind {image_CHW.dtype}", "torch.float32"
    if not bool(torch.isfinite(image_CHW).all()):
        return "numbers that are not finite", "finite numbers"
    if image_CHW.shape[0] == 3 and bool(((image_CHW < low) | (image_CHW > high)).any()):
        extremes = f"{float(image_CHW.min()):.2f} to {float(image_CHW.max()):.2f}"
        return (
            f"numbers from {extremes}",
            f"{float(low.min()):.2f} to {float(high.max()):.2f}, as black and white become",
        )
    return None


def check_evaluation_transform(material: Material) -> list[Finding]:
    """Check that the evaluation transform draws nothing at random."""
    transform = material.parts.transforms.evaluate
    num_compared = 0
    for sample in material.samples["val"][:NUM_REPEATED]:
        material.poll()
        photo = material.photo(sample.sample_id)
        if photo is None:
            continue
        twice = []
        for seed in (1, 2):
            with borrowed_randomness(seed):
                twice.append(transform(photo.copy()))
        num_compared += 1
        if not torch.equal(*twice):
            return [
                failed(
                    "evaluation_transform",
                    "the evaluation transform makes other pixels of "
                    f"{material.name(sample.sample_id)} the second time",
                    "the same pixels each time",
                    BROKEN_INSTALLATION,
                )
            ]
    if not num_compared:
        return [noted("evaluation_transform", "no photo could be read twice")]
    return [passed("evaluation_transform", "evaluation makes the same pixels each time")]


def _fingerprint() -> bytes:
    """Return something that changes when any global generator was drawn from."""
    tensors, record = pack_generators()
    digest = hashlib.sha256(repr(record).encode())
    for _, state in sorted(tensors.items()):
        digest.update(state.cpu().numpy().tobytes())
    return digest.digest()


def check_keyed_augmentation(material: Material) -> list[Finding]:
    """Check that a training photo's pixels follow from seed, epoch and photo alone."""
    dataset = material.dataset("train")
    for sample in material.samples["train"][:NUM_REPEATED]:
        material.poll()
        with borrowed_randomness(sample.sample_id):
            before = _fingerprint()
            again = dataset[EPOCH, sample.sample_id]
            has_drawn = _fingerprint() != before
        name = material.name(sample.sample_id)
        is_same = isinstance(again, Sample) and torch.equal(again.image_CHW, sample.image_CHW)
        if not is_same or has_drawn:
            what = (
                "draws from the generator of the training"
                if is_same
                else "gives other pixels the second time"
            )
            return [
                failed(
                    "keyed_augmentation",
                    f"augmenting {name} {what}",
                    "pixels that follow from train.seed, the epoch and the photo",
                    "remove augment.auto_augment, or choose another policy"
                    if material.parts.config.augment.auto_augment
                    else BROKEN_INSTALLATION,
                )
            ]
    return [passed("keyed_augmentation", "the same photo in the same epoch gives the same pixels")]

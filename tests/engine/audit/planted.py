"""A made data set with faults planted in it, and what was planted."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bottle", "can", "carton")


@dataclass
class Planted:
    """Relative paths of what was planted."""

    root: Path
    corrupt: set[str] = field(default_factory=set)
    copies: set[str] = field(default_factory=set)
    near: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)


def scene(seed: int, kind: int, width: int = 220, height: int = 165) -> Image.Image:
    """Return a natural-looking picture: smooth light, a few things, fine grain.

    Args:
        seed: Another one for each scene.
        kind: Of the class: it decides the colour and the shape of the things.
        width: Pixels.
        height: Pixels.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    slope, low = generator.uniform(-60, 60, 2), generator.uniform(90, 200, 3)
    pixels = low + (slope[0] * x + slope[1] * y)[..., None]
    tint = np.roll(np.array([70.0, -10.0, -60.0]), kind)
    for _ in range(generator.integers(3, 7)):
        centre = generator.uniform(0.1, 0.9, 2)
        radii = generator.uniform(0.04, 0.22, 2) * (1 + kind)
        angle = generator.uniform(0, np.pi)
        u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        v = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        inside = np.clip(6 - 5 * ((u / radii[0]) ** 2 + (v / radii[1]) ** 2), 0, 1)
        texture = 25 * np.sin(generator.uniform(20, 90) * u) * np.sin(generator.uniform(20, 90) * v)
        colour = generator.uniform(-70, 70) + tint
        pixels = pixels + inside[..., None] * (colour + texture[..., None])
    grain = generator.normal(0, 5, (height, width, 1))
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def write_scenes(root: Path, *, per_class: int) -> None:
    """Write a sound data set with folders train and val, a quarter of each class in val."""
    for kind, name in enumerate(CLASSES):
        for number in range(per_class):
            split = "val" if number % 4 == 0 else "train"
            path = root / split / name / f"{number:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(1_000 * kind + number, kind).save(path, quality=88)


def plant(root: Path, *, count: int, seed: int = 1) -> Planted:
    """Plant faults in a data set with folders train and val, `count` of each kind."""
    planted, draw = Planted(root), random.Random(seed)
    trained = sorted(root.glob("train/*/*.jpg"))
    draw.shuffle(trained)
    take = iter(trained)
    for number in range(count):
        planted.corrupt.add(damaged(next(take), number, root))
    for number in range(count):
        source = next(take)
        target = root / "val" / source.parent.name / f"copy_{number}.jpg"
        shutil.copyfile(source, target)
        planted.copies.add(str(target.relative_to(root)))
    for number in range(count):
        source = next(take)
        target = root / "val" / source.parent.name / f"near_{number}.jpg"
        altered(Image.open(source), number, draw).save(target, quality=draw.choice((60, 75, 92)))
        planted.near.add(str(target.relative_to(root)))
    for number in range(count):
        source = next(take)
        other = CLASSES[(CLASSES.index(source.parent.name) + 1) % len(CLASSES)]
        target = root / "train" / other / f"conflict_{number}.jpg"
        shutil.copyfile(source, target)
        planted.conflicts.add(str(target.relative_to(root)))
    return planted


def damaged(path: Path, number: int, root: Path) -> str:
    """Damage a JPEG in one of five ways, and return its relative path."""
    content = path.read_bytes()
    half = len(content) // 2
    zeros = bytes(min(4_096, half // 2))
    path.write_bytes(
        (
            content[:half],
            content[: half // 2] + bytes(len(content) - half // 2),
            content[:half] + zeros + content[half + len(zeros) :],
            b"",
            content[:-100],
        )[number % 5]
    )
    return str(path.relative_to(root))


def altered(image: Image.Image, number: int, draw: random.Random) -> Image.Image:
    """Return a picture re-encoded, resized, slightly cropped, or the latter two together."""
    image = image.convert("RGB")
    kind = number % 4
    if kind in (1, 3):
        scale = draw.uniform(0.5, 1.4)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if kind in (2, 3):
        left, top, right, bottom = (draw.uniform(0.0, 0.06) for _ in range(4))
        box = (left * image.width, top * image.height)
        far = ((1 - right) * image.width, (1 - bottom) * image.height)
        image = image.crop((round(box[0]), round(box[1]), round(far[0]), round(far[1])))
    return image

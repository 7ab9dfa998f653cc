"""Photos a second from files to normalised batches: `python -m benchmarks.data_path [PART]...`.

Claims: on two cores, against timm's default `create_loader` with the same augmentation, at least
1.8 times at 512x384, 2.5 times at 2 megapixels, 5 times at 12, and 3 times with the pictures
already in the cache; with 0, 1 and 2 workers. Told beside it is a whole run of 20 epochs with the
pictures kept, as `data.cache` does by itself: its first epoch decodes every photo and writes its
picture, the others find it.

Both read the same made JPEGs, with random crops of 0.08 to 1 of the area, flips and colour jitter
of 0.4, timm's defaults, and deliver float32 batches of 32 in the training process, which computes
on one thread. timm's default delivers through its prefetcher; without it (`use_prefetcher=False`)
it is measured too. In turn, timm's twice in every round, before and after ecotui's: a ratio is the
geometric mean of those to each of them, medians over the rounds, as the processors of a virtual
machine change their speed within a round; how the two differ is the A/A control.

PART: `small` (512x384), `medium` (1600x1200), `large` (4000x3000), or `plain`, what is left of the
claims in a picture with little grain: how far a JPEG can be decoded at a part of its size depends
on how many bits it has a pixel, as all of them are read. Prints one JSON object, keeps it in
`benchmarks/results/data_path.json`.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import timm.data
import torch
from PIL import Image, ImageFilter

from benchmarks.audit import index_of, made_photo
from benchmarks.parts.choosing import chosen
from benchmarks.parts.keeping import keep
from benchmarks.parts.ratios import median_ratio
from ecotui.config import AugmentConfig
from ecotui.engine.data.index import DataIndex
from ecotui.engine.data.loader import TrainLoader
from ecotui.engine.data.picture_cache import PictureCache
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.normalising import Normalisation

RESULT = Path(__file__).with_name("results") / "data_path.json"
ROUNDS = int(os.environ.get("ECOTUI_BENCH_ROUNDS", "5"))
WORKERS = (0, 1, 2)
SIDE, BATCH, EPOCHS = 224, 32, 20
CACHED_SIDE = 2 * SIDE
MAX_PIXELS = 50_000_000
MEAN, STD = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD


@dataclass(frozen=True)
class Part:
    """Photos of one kind: several batches of them, so that two workers are two.

    Attributes:
        count: Of an epoch, whose ends weigh less in real ones.
        width: Pixels.
        height: Pixels.
        target: Claimed against timm's loader.
        is_plain: Whether there is little grain in them.
    """

    count: int
    width: int
    height: int
    target: float
    is_plain: bool = False


PARTS = {
    "small": Part(1536, 512, 384, 1.8),
    "medium": Part(256, 1600, 1200, 2.5),
    "large": Part(96, 4000, 3000, 5.0),
    "plain": Part(96, 4000, 3000, 5.0, is_plain=True),
}


def write_photos(folder: Path, part: Part) -> list[Path]:
    """Write JPEGs into two classes; a few pictures, each several times, as they take long."""
    contents = []
    for number in range(min(part.count, 16)):
        photo = made_photo(number, part.width, part.height)
        if part.is_plain:
            photo = photo.filter(ImageFilter.GaussianBlur(2.0))
        path = folder / "made.jpg"
        photo.save(path, quality=85)
        contents.append(path.read_bytes())
        path.unlink()
    paths = []
    for number in range(part.count):
        path = folder / f"class{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        # A comment of its own makes each file another content: copies would share a picture.
        content = contents[number % len(contents)]
        path.write_bytes(
            content[:2] + b"\xff\xfe\x00\x06" + number.to_bytes(4, "big") + content[2:]
        )
        paths.append(path)
    return paths


Epoch = Callable[[], Iterator[torch.Tensor]]


def timms(folder: Path, workers: int, **settings: Any) -> Epoch:
    """Return a way to read an epoch with timm's loader."""
    loader = timm.data.create_loader(
        timm.data.create_dataset("", root=str(folder)),
        (3, SIDE, SIDE),
        BATCH,
        is_training=True,
        num_workers=workers,
        device=torch.device("cpu"),
        persistent_workers=workers > 0,
        **settings,
    )

    def epoch() -> Iterator[torch.Tensor]:
        for images, _ in loader:
            yield images

    return epoch


def ours(index: DataIndex, workers: int, cache: PictureCache | None) -> tuple[Epoch, TrainLoader]:
    """Return a way to read an epoch with ecotui's loader, and the loader, to be closed."""
    spec = InputSpec(SIDE, MEAN, STD, "bilinear", 0.875)
    normalise = Normalisation(MEAN, STD)
    loader = TrainLoader(
        index,
        build_transforms(spec, AugmentConfig(scale=(0.08, 1.0))).train,
        batch_size=BATCH,
        seed=1,
        sampling="shuffled",
        workers=workers,
        max_pixels=MAX_PIXELS,
        image_size=SIDE,
        cache=cache,
    )
    numbers = iter(range(1_000_000))

    def epoch() -> Iterator[torch.Tensor]:
        for batch in loader.epoch(next(numbers)):
            yield normalise(batch.images_BCHW)

    return epoch, loader


def seconds_an_image(epoch: Epoch) -> float:
    """Return what an image of an epoch takes, the start of it included."""
    count, started = 0, time.perf_counter()
    for images in epoch():
        assert images.dtype == torch.float32
        assert images.shape[1:] == (3, SIDE, SIDE)
        count += len(images)
    return (time.perf_counter() - started) / count


def compared(folder: Path, index: DataIndex, workers: int, target: float) -> dict[str, float]:
    """Return images a second of each way, and medians of their ratios to timm's default.

    That is measured twice in each round, and the others are held against both.
    """
    cache = PictureCache(
        folder.with_name(f"{folder.name}-pictures-{workers}"),
        side=CACHED_SIDE,
        cap_bytes=10**10,
        max_pixels=MAX_PIXELS,
        num_samples=len(index.names),
    )
    plain, plain_loader = ours(index, workers, None)
    warm, warm_loader = ours(index, workers, cache)
    ways = {
        "timm": timms(folder, workers),
        "ecotui": plain,
        "ecotui_cache_warm": warm,
        "timm_again": timms(folder, workers),
        "timm_without_prefetcher": timms(folder, workers, use_prefetcher=False),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    first: dict[str, float] = {}
    with closing(plain_loader), closing(warm_loader):
        for number in range(ROUNDS + 1):
            for name, epoch in ways.items():
                taken = seconds_an_image(epoch)
                if number:
                    times[name].append(taken)
                else:  # it fills caches and starts workers
                    first[name] = taken
    times["ecotui_run"] = [
        (first["ecotui_cache_warm"] + (EPOCHS - 1) * each) / EPOCHS
        for each in times["ecotui_cache_warm"]
    ]
    ratios = {
        f"ratio_{name}": math.sqrt(
            median_ratio(times["timm"], taken) * median_ratio(times["timm_again"], taken)
        )
        for name, taken in times.items()
        if name not in ("timm", "timm_again")
    }
    ratios["ratio_timm_again"] = median_ratio(times["timm"], times["timm_again"])
    speeds = {
        f"{name}_images_per_second": 1.0 / statistics.median(taken) for name, taken in times.items()
    }
    return {"target": target, "target_cache_warm": 3.0, **ratios, **speeds}


def main() -> None:
    """Measure, keep and print."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {"rounds": ROUNDS, "side": SIDE, "batch": BATCH}
    if RESULT.is_file():
        found = {**json.loads(RESULT.read_text(encoding="utf-8")), **found}
    for name in chosen(sys.argv[1:], PARTS):
        part = PARTS[name]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "photos"
            folder.mkdir()
            paths = write_photos(folder, part)
            index = index_of(folder, paths)
            index.splits["train"] = torch.arange(len(paths)).numpy()
            with Image.open(paths[0]) as image:
                assert image.size == (part.width, part.height)
            kilobytes = statistics.mean(path.stat().st_size for path in paths) / 1e3
            found[name] = {"kilobytes_a_photo": kilobytes}
            for workers in WORKERS:
                found[name][f"workers_{workers}"] = compared(folder, index, workers, part.target)
                print(f"{name} {workers}: {json.dumps(found[name])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

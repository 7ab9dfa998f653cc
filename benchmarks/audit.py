"""What reading every photo costs and finds: `python -m benchmarks.audit [PHOTOS] [PART]...`.

Claims: the scan of the audit (every byte read, strictly decoded, hashed, small picture, looks)
on two threads handles at least 3 times the images a second of Pillow's `load()` one file after
another, on 0.2- and 12-megapixel JPEGs; it finds all of a set of damaged files of which
`load()` passes the ones zeroed in the middle; a second audit of 20,000 unchanged files takes at
most a fiftieth of the first; memory grows by little from 10,000 to 1,000,000 listed files.

With PHOTOS, a folder of JPEGs known to be sound, how many of them are called suspect or
unreadable is counted, too. Run in turn; an A/A control says how much is noise. Prints one
JSON object, keeps it in `benchmarks/results/audit.json`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the engine has it

import numpy as np
from PIL import Image

from benchmarks.parts.keeping import keep
from ecotui.engine.audit.examination import Wish, examine
from ecotui.engine.audit.reading import look
from ecotui.engine.audit.records import Outcome
from ecotui.engine.audit.scan import scan
from ecotui.engine.data.decode import read_size
from ecotui.engine.data.index import DataIndex, Names
from ecotui.paths import RunDir

RESULT = Path(__file__).with_name("results") / "audit.json"
ROUNDS = 9
THREADS = 2
MAX_PIXELS = 50_000_000
NUM_UNCHANGED = int(os.environ.get("ECOTUI_BENCH_FILES", "20000"))

MEMORY = """
import resource, sys
from pathlib import Path
from benchmarks.audit import made_index
from benchmarks.parts.played_audit import scanned
index = made_index(Path(sys.argv[1]), int(sys.argv[2]))
def anonymous():
    lines = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    return int(lines["RssAnon"].split()[0]) * 1024
before = anonymous()
found = scanned(index)
print(before, anonymous(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def made_photo(seed: int, width: int, height: int) -> Image.Image:
    """Return a picture about as rich as a photo: coarse shapes, edges and grain.

    At quality 85 and 512 by 384 pixels it takes 1.2 bits a pixel, as the photos of TrashNet do.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    coarse = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    fine = generator.integers(60, 196, (height // 2, width // 2, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    small = np.asarray(Image.fromarray(fine).resize((width, height), Image.Resampling.BILINEAR))
    mixed = large.astype(np.int16) + (small.astype(np.int16) - 128) // 8
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def write_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write JPEGs of one size into two classes."""
    paths = []
    for number in range(count):
        path = folder / f"class{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        made_photo(number, width, height).save(path, quality=85)
        paths.append(path)
    return paths


def index_of(root: Path, paths: list[Path]) -> DataIndex:
    """Return an index of files, without walking the folder."""
    names = Names(sorted(os.fsencode(path.relative_to(root)) for path in paths))
    return _index(root, names)


def made_index(root: Path, count: int) -> DataIndex:
    """Return an index of files that are not there."""
    return _index(root, Names(b"class/%09d.jpg" % number for number in range(count)))


def _index(root: Path, names: Names) -> DataIndex:
    ids = np.arange(len(names), dtype=np.int64)
    labels = ids % 2
    splits = {"train": ids[ids % 4 > 0], "val": ids[ids % 4 == 0], "test": ids[:0]}
    return DataIndex(root, "classes", ("a", "b"), names, labels, splits, ())  # type: ignore[arg-type]


def load_all(paths: list[Path]) -> None:
    """Do what is usually done: Pillow's load, one file after another."""
    for path in paths:
        with Image.open(path) as image:
            image.load()


def timed_loading(paths: list[Path]) -> tuple[float, float]:
    """Return seconds by the clock, and of processor time, that Pillow takes."""
    started, busy = time.perf_counter(), time.process_time()
    load_all(paths)
    return time.perf_counter() - started, time.process_time() - busy


def timed_audit(folder: Path, paths: list[Path]) -> tuple[float, float]:
    """Return the same of the audit's scan, all files read again."""
    index = index_of(folder, paths)
    started, busy = time.perf_counter(), time.process_time()
    scan(
        index,
        max_pixels=MAX_PIXELS,
        rechecks=True,
        poll=lambda: None,
        advance=lambda count: None,
        threads=THREADS,
    )
    return time.perf_counter() - started, time.process_time() - busy


def speed(folder: Path, count: int, width: int, height: int) -> dict[str, float]:
    """Return images a second of both, and medians of their ratio and of the control's.

    Each has a process of its own, which does nothing else: what making the photos leaves in a
    process's heap changes Pillow's speed by a third.
    """
    paths = write_photos(folder, count, width, height)
    acts: dict[str, Callable[[], tuple[float, float]]] = {
        "pillow": partial(timed_loading, paths),
        "audit": partial(timed_audit, folder, paths),
        "pillow_again": partial(timed_loading, paths),
    }
    times: dict[str, list[float]] = {name: [] for name in acts}
    work: dict[str, list[float]] = {name: [] for name in acts}
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        homes = {name: stack.enter_context(context.Pool(1)) for name in acts}
        for number in range(ROUNDS + 1):
            for name, act in acts.items():
                seconds, busy = homes[name].apply(act)
                if number:
                    times[name].append(seconds)
                    work[name].append(busy)
    ratios = [a / b for a, b in zip(times["pillow"], times["audit"], strict=True)]
    control = [a / b for a, b in zip(times["pillow"], times["pillow_again"], strict=True)]
    return {
        "bits_per_pixel": 8 * sum(path.stat().st_size for path in paths) / (count * width * height),
        "pillow_images_per_second": count / statistics.median(times["pillow"]),
        "audit_images_per_second": count / statistics.median(times["audit"]),
        "ratio": statistics.median(ratios),
        "control_ratio": statistics.median(control),
        # What two idle processors would give: on a busy machine the clock says little.
        "ratio_of_processor_time": THREADS
        * statistics.median(work["pillow"])
        / statistics.median(work["audit"]),
    }


def damage(folder: Path) -> dict[str, dict[str, float]]:
    """Return the share of damaged files that each way of looking finds, by kind of damage."""
    sources = [path.read_bytes() for path in write_photos(folder / "sound", 40, 512, 384)]
    kinds: dict[str, Callable[[bytes], bytes]] = {
        "cut_half": lambda content: content[: len(content) // 2],
        "cut_100_bytes": lambda content: content[:-100],
        "zero_tail": lambda content: content[: len(content) // 2].ljust(len(content), b"\0"),
        "zeroed_4_kb": lambda c: c[: len(c) // 2] + bytes(4_096) + c[len(c) // 2 + 4_096 :],
        "wrong_extension": lambda content: content,
    }
    found: dict[str, dict[str, float]] = {}
    for kind, damaged in kinds.items():
        seen = passed = 0
        for number, content in enumerate(sources):
            path = folder / f"{kind}-{number}.{'png' if kind == 'wrong_extension' else 'jpg'}"
            path.write_bytes(damaged(content))
            told = look(path, max_pixels=MAX_PIXELS, wants_colours=False)
            seen += told.outcome != Outcome.READ or bool(told.traits)
            try:
                load_all([path])
            except OSError:
                passed += 1
        found[kind] = {"audit": seen / len(sources), "pillow_load": passed / len(sources)}
    return found


def unchanged(folder: Path) -> dict[str, float]:
    """Return seconds of a first and of two further audits of the same files."""
    draw = np.random.Generator(np.random.PCG64(9))
    originals = [np.asarray(made_photo(number, 512, 384)) for number in range(100)]
    paths = []
    for number in range(NUM_UNCHANGED):
        path = folder / "many" / f"class{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Moved by a stretch of its own: no two files are alike.
        rolled = np.roll(originals[number % 100], draw.integers(0, 384, 2), axis=(0, 1))
        Image.fromarray(rolled).save(path, quality=85)
        paths.append(path)
    index = index_of(folder / "many", paths)
    seconds = []
    for number in range(3):
        run = RunDir(folder / f"run-{number}")
        run.path.mkdir()
        started = time.perf_counter()
        examine(index, Wish(max_pixels=MAX_PIXELS), run, lambda event: None, lambda: None)
        seconds.append(time.perf_counter() - started)
    again = min(seconds[1:])
    return {"first_seconds": seconds[0], "again_seconds": again, "ratio": seconds[0] / again}


def memory(folder: Path) -> dict[str, dict[str, int]]:
    """Return the memory of a scan of listed files, of which reading is played."""
    found = {}
    for count in (10_000, 1_000_000):
        shown = subprocess.run(
            [sys.executable, "-c", MEMORY, str(folder), str(count)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        before, after, peak = map(int, shown.stdout.split())
        found[str(count)] = {"before": before, "after": after, "peak_resident": peak}
    return found


def false_alarms(folder: Path) -> dict[str, object]:
    """Return how many of a folder's JPEGs, known to be sound, are not simply read."""
    paths = sorted(folder.rglob("*.jpg"))
    told = [
        str(path) for path in paths
        if look(path, max_pixels=MAX_PIXELS, wants_colours=False).outcome != Outcome.READ
    ]  # fmt: skip
    sizes = [width * height for width, height in map(read_size, paths[:200])]
    return {"photos": len(paths), "alarms": told, "median_pixels": statistics.median(sizes)}


def main() -> None:
    """Measure, keep and print."""
    # A part measured alone leaves the figures of the others as they are.
    earlier = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    found: dict[str, object] = {**earlier, "threads": THREADS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        parts: dict[str, Callable[[], object]] = {
            "megapixels_0.2": lambda: speed(folder / "small", 2_500, 512, 384),
            "megapixels_12": lambda: speed(folder / "large", 24, 4_000, 3_000),
            "damage": lambda: damage(folder / "damage"),
            "memory_bytes": lambda: memory(folder),
            "unchanged": lambda: unchanged(folder),
        }
        wanted = [word for word in sys.argv[1:] if word in parts] or list(parts)
        for part in wanted:
            found[part] = parts[part]()
            print(f"{part}: {json.dumps(found[part])}", file=sys.stderr)
    for path in map(Path, sys.argv[1:]):
        if path.is_dir():
            found["false_alarms"] = false_alarms(path)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

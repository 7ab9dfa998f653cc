"""What the audit finds of faults planted in a copy of real photos.

`python -m benchmarks.audit_planted DATA [--labels]`, DATA with train.txt, val.txt and images/.

Planted: 25 damaged files, 40 copies and 40 near copies (encoded anew, resized, slightly cropped)
across splits, 20 copies across classes, 15 photos in a wrong class. Targets: all of the damaged
and the copies, 90% of the near copies with false alarms (photos flagged that were not planted)
below 0.5%, and 10 of the 15 mislabelled among the 5% most doubtful. What is flagged beyond what
was planted is listed: look at it, since real sets have faults of their own. DATA is not changed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the engine has it

from PIL import Image

from benchmarks.parts.keeping import keep
from ecotui.config import DataConfig, RunConfig
from ecotui.engine.audit.examination import Wish, examine
from ecotui.engine.data.index import build_index
from ecotui.paths import RunDir

RESULT = Path(__file__).with_name("results") / "audit_planted.json"
NUM_CORRUPT, NUM_COPIES, NUM_CONFLICTS, NUM_WRONG = 25, 40, 20, 15
CORRUPT = ("empty", "truncated", "unreadable", "unsupported", "suspect")


class Planting:
    """A copy of a data set, and what was planted in it.

    Args:
        root: Of the copy.
        seed: Of what is chosen.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.draw = root, random.Random(seed)
        self.lists = {
            split: (root / f"{split}.txt").read_text().split() for split in ("train", "val")
        }
        self.planted: dict[str, list[str]] = {}
        names = list(self.lists["train"])
        self.draw.shuffle(names)
        self.names = iter(names)
        self.classes = sorted({name.split("/")[0] for name in names})

    def plant(self) -> None:
        """Plant everything, and write the lists again."""
        self.planted["corrupt"] = [self.damaged(number) for number in range(NUM_CORRUPT)]
        self.planted["copies"] = [self.copied(number) for number in range(NUM_COPIES)]
        self.planted["near"] = [self.nearly(number) for number in range(NUM_COPIES)]
        self.planted["conflicts"] = [self.conflicting(number) for number in range(NUM_CONFLICTS)]
        self.planted["wrong"] = [self.mislabelled(number) for number in range(NUM_WRONG)]
        for split, names in self.lists.items():
            (self.root / f"{split}.txt").write_text("\n".join(names) + "\n")

    def path(self, name: str) -> Path:
        """Return where a photo lies."""
        return self.root / "images" / name

    def damaged(self, number: int) -> str:
        """Damage a photo in one of five ways."""
        name = next(self.names)
        content = self.path(name).read_bytes()
        half = len(content) // 2
        zeros = bytes(4_096)[: half - 100]
        ways = (
            content[:half],
            content[: half // 2].ljust(len(content), b"\0"),
            content[:half] + zeros + content[half + len(zeros) :],
            b"",
            b"<html>404</html>",
        )
        self.path(name).write_bytes(ways[number % len(ways)])
        return name

    def copied(self, number: int) -> str:
        """Copy a photo from train to val."""
        source = next(self.names)
        name = f"{source.split('/')[0]}/copy{number}.jpg"
        shutil.copyfile(self.path(source), self.path(name))
        self.lists["val"].append(name)
        return name

    def nearly(self, number: int) -> str:
        """Copy a photo from train to val, altered a little."""
        source = next(self.names)
        name = f"{source.split('/')[0]}/near{number}.jpg"
        image = Image.open(self.path(source)).convert("RGB")
        if number % 4 in (1, 3):
            scale = self.draw.uniform(0.5, 1.4)
            image = image.resize((int(image.width * scale), int(image.height * scale)))
        if number % 4 in (2, 3):
            cuts = [self.draw.uniform(0.0, 0.06) for _ in range(4)]
            width, height = image.size
            left, top = int(cuts[0] * width), int(cuts[1] * height)
            right, bottom = int(width - cuts[2] * width), int(height - cuts[3] * height)
            image = image.crop((left, top, right, bottom))
        image.save(self.path(name), quality=self.draw.choice((60, 75, 90)))
        self.lists["val"].append(name)
        return name

    def other_class(self, name: str) -> str:
        """Return a class that a photo is not of."""
        own = name.split("/", maxsplit=1)[0]
        return self.draw.choice([each for each in self.classes if each != own])

    def conflicting(self, number: int) -> str:
        """Copy a photo to another class, in train."""
        source = next(self.names)
        name = f"{self.other_class(source)}/conflict{number}.jpg"
        shutil.copyfile(self.path(source), self.path(name))
        self.lists["train"].append(name)
        return name

    def mislabelled(self, number: int) -> str:
        """Move a photo to another class, in train."""
        source = next(self.names)
        name = f"{self.other_class(source)}/wrong{number}.jpg"
        shutil.move(self.path(source), self.path(name))
        self.lists["train"][self.lists["train"].index(source)] = name
        return name


def audited(root: Path, run: RunDir, *, labels: bool) -> dict[str, list[dict[str, object]]]:
    """Return the entries of the audit of a data set, by category."""
    config = RunConfig(data=DataConfig(root=str(root)))
    more = None
    if labels:
        from ecotui.engine.audit.label_findings import LabelSearch

        more = LabelSearch(config, None)
    index = build_index(config.data, seed=0)
    wish = Wish(max_pixels=config.data.max_pixels, more=more)
    examine(index, wish, run, lambda event: None, lambda: None)
    findings = json.loads(run.audit.read_bytes())["findings"]
    return {finding["category"]: finding["entries"] for finding in findings}


def shares(planting: Planting, found: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    """Return how much of each kind was found, and what else was flagged."""

    def paths(*categories: str) -> set[object]:
        return {entry["path"] for name in categories for entry in found.get(name, [])}

    def share(kind: str, *categories: str) -> float:
        wanted = planting.planted[kind]
        return sum(name in paths(*categories) for name in wanted) / len(wanted)

    near = [f"near_duplicates{where}" for where in ("_across_splits", "_across_classes", "")]
    planted = {name for names in planting.planted.values() for name in names}
    unplanted = [
        f"{entry['path']} = {entry['other']}"
        for category in near
        for entry in found.get(category, [])
        if entry["path"] not in planted and entry["other"] not in planted
    ]
    doubted = paths("label_errors")
    return {
        "corrupt": share("corrupt", *CORRUPT),
        "corrupt_beyond_planted": sorted(
            str(each) for each in paths(*CORRUPT) - set(planting.planted["corrupt"])
        ),
        "copies_across_splits": share("copies", "exact_duplicates_across_splits"),
        "copies_across_classes": share("conflicts", "exact_duplicates_across_classes"),
        "near_copies": share("near", "near_duplicates_across_splits"),
        "near_beyond_planted": unplanted,
        "mislabelled": sum(name in doubted for name in planting.planted["wrong"]),
        "listed_as_doubtful": len(doubted),
    }


def main() -> None:
    """Plant, audit, keep and print."""
    if len(sys.argv) < 2:
        print("left out: it needs a folder of photos: audit_planted.py PHOTOS [--labels]")
        return
    data, labels = Path(sys.argv[1]), "--labels" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        shutil.copytree(data, folder / "copy")
        planting = Planting(folder / "copy", seed=1)
        planting.plant()
        run = RunDir(folder / "run")
        run.path.mkdir()
        found = shares(planting, audited(planting.root, run, labels=labels))
    keep(RESULT, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

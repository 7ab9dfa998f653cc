"""What `configs/trashnet.toml` reaches: `python -m benchmarks.recipe FOLDER [WORD]...`.

A WORD is a seed, `five`, `ten`, `timm` or `long`; without any, both claims are measured with three
seeds.

Claims, from scratch on two processors: at least 75% of TrashNet's test photos are told right, the
figure that its authors give, after at most five minutes of training, and 80% after ten; with each
of three seeds. The first is the recipe as it stands, whose epochs fit into five minutes where the
machine is slow, the second has more of them (`CLAIMS`). FOLDER is TrashNet with the authors' lists.
Where a seed or a claim is given, only that is trained anew, and the others stay as they were
measured. The test split is scored once a run, at its end, with the weights that were best on the
validation split.

With `long` one seed is trained with what reaches most in half an hour: larger pictures, stronger
augmentation, more epochs (`LONG`); 85% is the aim. With `timm` the same network is trained for the
time of the first claim's longest run as timm's `train.py` does it by default, its schedule fitted
to that time: a script made of timm's functions, as the package does not hold `train.py`.

The minutes are those between the first step and the end of the last epoch, validation and saving
included. Prints one JSON object, keeps it in `benchmarks/results/recipe.json`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts.keeping import keep
from ecotui.events import StageFinished, ValidationFinished
from ecotui.paths import list_runs
from ecotui.stream import Tail

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "trashnet.toml"
RESULT = Path(__file__).with_name("results") / "recipe.json"
SEEDS = (0, 1, 2)


class Claim(NamedTuple):
    """What three seeds reach: the minutes they may take, and how the recipe is changed for it."""

    minutes: float
    accuracy: float
    changed: tuple[str, ...] = ()


CLAIMS = {"five": Claim(5.0, 0.75), "ten": Claim(10.0, 0.80, ("train.epochs=60",))}
LONG = (
    "data.image_size=112",
    "augment.scale=[0.3, 1.0]",
    "augment.color_jitter=0.2",
    "augment.vertical_flip=0.5",
    "augment.random_erasing=0.2",
    "augment.mixup=0.1",
    "augment.cutmix=0.5",
    "augment.mix_probability=0.5",
    "train.epochs=140",
    "train.ema_decay=0.999",
)


def trained(trashnet: Path, seed: int, changed: Sequence[str] = ()) -> dict[str, float]:
    """Train as the recipe says, and return its accuracies, macro F1 and seconds of training."""
    settings = (f"data.root={trashnet}", f"train.seed={seed}", *changed)
    flags = [word for each in settings for word in ("--set", each)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        argv = (sys.executable, "-m", "ecotui", "--headless", str(CONFIG), *flags)
        subprocess.run(argv, cwd=place, check=True, capture_output=True)
        (run,) = list_runs(Path(place) / "runs")
        seconds, validated, found = 0.0, 0.0, None
        tail = Tail(run.events)
        while told := tail.read():
            for _, event in told:
                if isinstance(event, StageFinished) and event.stage == "train":
                    seconds = event.seconds
                elif isinstance(event, ValidationFinished) and event.split == "test":
                    found = event
                elif isinstance(event, ValidationFinished):
                    validated = max(validated, event.accuracy)
    if found is None or not seconds:
        raise AssertionError(f"seed {seed}: the run ended without a test")
    return {
        "test_accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "best_val_accuracy": validated,
        "seconds": seconds,
    }


def timms(trashnet: Path, seconds: float) -> dict[str, float]:
    """Train for as long as timm's script would, and return what it reaches."""
    argv = (sys.executable, "-m", "benchmarks.parts.timm_script", str(trashnet), str(seconds))
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(claim: Claim, runs: Mapping[str, dict[str, float]]) -> dict[str, Any]:
    """Return what the seeds of a claim say together, and whether it holds."""
    worst = min(run["test_accuracy"] for run in runs.values())
    longest = max(run["seconds"] for run in runs.values()) / 60
    return {
        "runs": runs,
        "changed": claim.changed,
        "worst_test_accuracy": worst,
        "mean_test_accuracy": statistics.mean(run["test_accuracy"] for run in runs.values()),
        "longest_minutes": longest,
        "holds": worst >= claim.accuracy and longest <= claim.minutes,
    }


def main() -> int:
    """Measure, keep and print; 1 where a claim does not hold."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        print(
            "left out: it needs the folder of TrashNet: benchmarks.recipe FOLDER", file=sys.stderr
        )
        return 2
    trashnet = Path(sys.argv[1]).resolve()
    words = sys.argv[2:]
    found: dict[str, Any] = {}
    if RESULT.is_file():
        with suppress(ValueError):
            found = json.loads(RESULT.read_text(encoding="utf-8"))
    seeds = [word for word in words if word.isdigit()]
    named = [name for name in CLAIMS if name in words]
    for name in named or (CLAIMS if seeds or not words else ()):
        runs = found.get(name, {}).get("runs", {})
        for seed in seeds or map(str, SEEDS):
            runs[seed] = trained(trashnet, int(seed), CLAIMS[name].changed)
            print(f"{name}, seed {seed}: {json.dumps(runs[seed])}", file=sys.stderr)
        found[name] = summary(CLAIMS[name], runs)
    if "long" in words:
        found["long"] = {**trained(trashnet, SEEDS[0], LONG), "settings": LONG}
        print(f"long: {json.dumps(found['long'])}", file=sys.stderr)
    if "timm" in words:
        minutes = found.get("five", {}).get("longest_minutes", CLAIMS["five"].minutes)
        found["timm"] = timms(trashnet, minutes * 60)
        print(f"timm: {json.dumps(found['timm'])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))
    return int(not all(found.get(name, {}).get("holds", True) for name in CLAIMS))


if __name__ == "__main__":
    sys.exit(main())

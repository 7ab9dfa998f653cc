"""The table of what was measured, in `docs/performance.md`: `python benchmarks/report.py`.

Reads what the other benchmarks have kept in `benchmarks/results/` and writes one row for each
promise: what was measured, what was promised, and whether it is kept. What is not measured in
`benchmarks/results/` keeps its earlier row, with the day it is from; a promise that was never
measured says so. Ends with 1 where one is broken.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
MARK = "<!-- measured -->"
NUM_CELLS = 7
"""Of a line of the table that is split at its bars."""

Figure = Callable[[Any], float]


@dataclass(frozen=True)
class Promise:
    """One row of the table.

    Attributes:
        what: Is measured, in words.
        script: That measures it, without `.py`.
        limit: The worst value allowed; None where the value is shown for comparison.
        figure: Takes the value from what the script kept.
        is_least: Whether `limit` is the smallest value rather than the largest.
        form: How the value is written.
    """

    what: str
    script: str
    limit: float | None
    figure: Figure
    is_least: bool = False
    form: str = ".2f"


def at(*keys: str, scale: float = 1.0) -> Figure:
    """Return how to take a value from nested JSON objects."""

    def figure(found: Any) -> float:
        value = found
        for key in keys:
            value = value[key]
        return float(value) * scale

    return figure


def _guarded(model: str) -> Figure:
    def figure(found: Any) -> float:
        (one,) = (each for each in found["loads"] if each["model"] == model)
        return float(one["guarded_speed"])

    return figure


def _speed_against(part: str, peer: str) -> Figure:
    def figure(found: Any) -> float:
        speeds = found[part]["speeds"]
        return float(speeds["ecotui"] / speeds[peer])

    return figure


def _worst_plan(found: Any) -> float:
    return max(abs(float(each["error_fraction"])) for each in found)


def _accuracy_difference(found: Any) -> float:
    return float(found["difference"] / found["noise_of_the_difference"])


def _data_path() -> Iterator[Promise]:
    names = {
        "small": ("512x384", 1.8),
        "medium": ("1600x1200", 2.5),
        "large": ("4000x3000", 5.0),
        "plain": ("4000x3000 with little grain", 5.0),
    }
    for part, (size, target) in names.items():
        for workers in (0, 1, 2):
            key = f"workers_{workers}"
            where = f"photos of {size} with {workers} workers, against timm's loader"
            yield Promise(where, "data_path", target, at(part, key, "ratio_ecotui"), is_least=True)
            yield Promise(
                f"{where}, cache warm",
                "data_path",
                3.0,
                at(part, key, "ratio_ecotui_cache_warm"),
                is_least=True,
            )
            yield Promise(
                f"{where}, over a run of 20 epochs with pictures kept, as by default",
                "data_path",
                target,
                at(part, key, "ratio_ecotui_run"),
                is_least=True,
            )


_PEERS = {"timm": "timm's loop", "lightning": "Lightning", "hugging_face": "HF's Trainer"}


def _loops() -> Iterator[Promise]:
    for part, model in {"vit_tiny": "vit_tiny", "test_vit": "test_vit"}.items():
        for key, peer in _PEERS.items():
            what = f"{model}, speed with everything on against {peer} with clipping"
            figure = at(part, "ecotui_against", f"{key}_clipping")
            yield Promise(what, "loop", 1.0, figure, is_least=True, form=".3f")
            yield Promise(
                f"{model}, the same against {peer} without clipping",
                "loop",
                None,
                _speed_against(part, key),
                form=".3f",
            )
    for part, model in {"eva02": "eva02_base at 224 px", "resnet18": "resnet18 at 224 px"}.items():
        for key, peer in _PEERS.items():
            what = f"{model}, `auto` against {peer} with its defaults"
            figure = at(part, "ecotui_against", key)
            yield Promise(what, "loop", 1.5, figure, is_least=True)


def _trashnet() -> Iterator[Promise]:
    for key, minutes, accuracy in (("five", 5.0, 0.75), ("ten", 10.0, 0.80)):
        what = f"TrashNet's test photos told right, {key} minutes, worst of three seeds"
        figure = at(key, "worst_test_accuracy")
        yield Promise(what, "recipe", accuracy, figure, is_least=True, form=".3f")
        yield Promise(
            f"its training, minutes, longest of {key}",
            "recipe",
            minutes,
            at(key, "longest_minutes"),
        )


def _gpu() -> Iterator[Promise]:
    what = "eva02_base at 224 px on an NVIDIA GPU, bf16"
    yield Promise(
        f"{what}, against a bare loop", "gpu", 0.99, at("ratio_ecotui"), is_least=True, form=".3f"
    )
    yield Promise(
        "the same, against timm's loop", "gpu", 1.0, at("against_timm"), is_least=True, form=".3f"
    )
    yield Promise(
        "times that a step made the host wait for the device",
        "gpu",
        0.0,
        lambda found: float(found["waits_for_the_device"] is not None),
        form=".0f",
    )
    yield Promise(
        "share of the time in which the device computes", "gpu", None, at("busy_fraction")
    )
    yield Promise(
        "photos from JPEG files, against what the steps use",
        "gpu",
        1.0,
        at("loader_of_steps"),
        is_least=True,
    )


PROMISES: tuple[Promise, ...] = (
    Promise(
        "a step with everything on, vit_tiny at 224 px, against a bare fused loop",
        "guards",
        0.99,
        _guarded("vit_tiny_patch16_224"),
        is_least=True,
        form=".4f",
    ),
    Promise(
        "the same, test_vit at 64 px",
        "guards",
        0.92,
        _guarded("test_vit"),
        is_least=True,
        form=".4f",
    ),
    *_loops(),
    *_data_path(),
    Promise(
        "accuracy of the data path less that of timm's, in spreads of noise",
        "data_accuracy",
        -2.0,
        _accuracy_difference,
        is_least=True,
    ),
    *_trashnet(),
    Promise(
        "TrashNet's test photos told right, half an hour, one seed",
        "recipe",
        0.85,
        at("long", "test_accuracy"),
        is_least=True,
        form=".3f",
    ),
    Promise(
        "its training, minutes", "recipe", 30.0, at("long", "seconds", scale=1 / 60), form=".1f"
    ),
    Promise(
        "timm's script, the same network for five minutes: test photos told right",
        "recipe",
        None,
        at("timm", "test_accuracy"),
        form=".3f",
    ),
    Promise("`ecotui --help` against `import click`", "help", 1.5, at("ratio")),
    Promise("home, first frame, against a trivial app", "first_frame", 1.4, at("ratio_home")),
    Promise(
        "attached, first frame, against a trivial app",
        "first_frame",
        1.7,
        at("ratio_attached_frame"),
    ),
    Promise(
        "attached, until the training's figures stand", "first_frame", None, at("ratio_training")
    ),
    Promise("memory at home's first frame, MB", "first_frame", 80, at("peak_mb", "home_frame")),
    Promise("the same, with a run's figures, MB", "first_frame", 80, at("peak_mb", "training")),
    Promise(
        "from Enter to the first step without preflight, against a script of timm's",
        "first_step",
        None,
        at("ratio_without_preflight"),
    ),
    Promise(
        "the same from home, its engine ready",
        "first_step",
        None,
        at("ratio_home_without_preflight"),
    ),
    Promise(
        "from home with preflight, s",
        "first_step",
        None,
        at("home_with_preflight", "all"),
        form=".1f",
    ),
    Promise(
        "with preflight, not from home, s", "first_step", None, at("second_run", "all"), form=".1f"
    ),
    Promise(
        "and with formats measured first, s", "first_step", None, at("first_run", "all"), form=".1f"
    ),
    Promise("a day's log open, seconds", "long_log", 3.0, at("seconds")),
    Promise("its memory, MB", "long_log", 200.0, at("peak_bytes", scale=1e-6), form=".0f"),
    Promise("a key answered in it, ms", "long_log", 100.0, at("key_seconds", scale=1e3)),
    Promise("loop lag in a burst, ms", "app", 50.0, at("burst_lag_seconds", scale=1e3)),
    Promise("idle, bytes a second", "app", 0.0, at("idle_bytes_per_second")),
    Promise("live, KB a second at ten", "app", 10.0, at("live_bytes_per_second_at_10", scale=1e-3)),
    Promise("live, KB a second at one", "app", 4.0, at("live_bytes_per_second_at_1", scale=1e-3)),
    Promise("1,000 steps a second, of a core", "app", 0.1, at("core_fraction_at_1000_steps")),
    Promise("training with the app attached", "app", 0.99, at("speed_attached"), is_least=True),
    Promise(
        "audit against Pillow, 0.2 megapixels",
        "audit",
        3.0,
        at("megapixels_0.2", "ratio"),
        is_least=True,
    ),
    Promise(
        "audit against Pillow, 12 megapixels",
        "audit",
        3.0,
        at("megapixels_12", "ratio"),
        is_least=True,
    ),
    Promise(
        "an unchanged audit against the first",
        "audit",
        50.0,
        at("unchanged", "ratio"),
        is_least=True,
        form=".0f",
    ),
    Promise("worst error of foretold memory", "plan", 0.15, _worst_plan, form=".3f"),
    Promise(
        "training stands still for a checkpoint, s per GB",
        "checkpoint",
        0.1,
        at("stall_seconds_per_gb"),
        form=".3f",
    ),
    Promise(
        "the same, of what `torch.save` with fsync takes",
        "checkpoint",
        0.1,
        at("stall_of_torch_save"),
        form=".3f",
    ),
    Promise(
        "a step while a checkpoint is written, of a quiet one",
        "checkpoint",
        1.15,
        at("step_during_write_of_quiet"),
    ),
    Promise(
        "a checkpoint of 1 GB every 5 minutes, of a run's time",
        "checkpoint",
        0.01,
        at("cost_of_run"),
        form=".3f",
    ),
    Promise(
        "memory of the engine against a bare loop, resnet18",
        "memory",
        1.1,
        at("resnet18", "ratio"),
        form=".3f",
    ),
    Promise("the same, vit_tiny", "memory", 1.1, at("vit_tiny_patch16_224", "ratio"), form=".3f"),
    Promise(
        "cost of an image among a million against a thousand, worst",
        "scale",
        2.0,
        at("worst_growth"),
    ),
    Promise("a reader's state after a month against a day", "scale", 1.2, at("state_growth")),
    Promise(
        "the log of a month without trouble, MB",
        "scale",
        250.0,
        lambda found: found["log_bytes"] / 1e6,
        form=".0f",
    ),
    Promise(
        "an event of a log, decoded and folded, microseconds",
        "fold",
        None,
        at("microseconds_per_event"),
        form=".1f",
    ),
    Promise(
        "memory for 100,000 of them, against a fifth as many",
        "fold",
        1.2,
        lambda found: float(found["peak_bytes"] / found["peak_bytes_a_fifth"]),
    ),
    Promise("the watch, of a core", "watch", 0.001, at("share_of_a_core"), form=".5f"),
    *_gpu(),
    *(
        Promise(
            f"freed memory kept on the CPU, a bare step's speed, {name}",
            "allocator",
            None,
            at(name, "speed_kept"),
            form=".3f",
        )
        for name in ("resnet18", "vit_tiny", "regnetx_002", "regnetx_002_bf16")
    ),
)


def earlier(page: str) -> dict[str, tuple[str, str]]:
    """Return a table's figures, each with its day, and verdicts, by what was measured."""
    day = re.search(r"^Measured on ([0-9-]+)", page, re.MULTILINE)
    found: dict[str, tuple[str, str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if day is None or len(cells) != NUM_CELLS or not cells[2][:1].isdigit():
            continue
        dated = cells[2] if "(" in cells[2] else f"{cells[2]} ({day[1]})"
        found[cells[1]] = dated, cells[4]
    return found


def rows(before: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, bool]]:
    """Yield a line of the table for each promise, and whether it is broken.

    Args:
        before: What stands in the table already, as `earlier` returns it.
    """
    for promise in PROMISES:
        limit = _limit(promise)
        source = f"`benchmarks/{promise.script}.py`"
        kept = RESULTS / f"{promise.script}.json"
        try:
            value = promise.figure(json.loads(kept.read_text(encoding="utf-8")))
        except (OSError, KeyError, ValueError):
            shown, verdict = before.get(promise.what, ("not measured here", ""))
            yield f"| {promise.what} | {shown} | {limit} | {verdict} | {source} |", "*" in verdict
            continue
        shown, verdict, is_broken = format(value, promise.form), "", False
        if promise.limit is not None:
            is_broken = value < promise.limit if promise.is_least else value > promise.limit
            verdict = "**missed**" if is_broken else "kept"
        yield f"| {promise.what} | {shown} | {limit} | {verdict} | {source} |", is_broken


def _limit(promise: Promise) -> str:
    if promise.limit is None:
        return "for comparison"
    return f"{'at least' if promise.is_least else 'at most'} {promise.limit:g}"


def machine() -> str:
    """Say on what it was measured."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "timm", "textual")
    )
    return (
        f"Measured on {time.strftime('%Y-%m-%d')} where no other day is named: "
        f"{platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors{_processor()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def _processor() -> str:
    """Return the processor's name in brackets, where the system tells it."""
    with suppress(OSError):
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return f" ({named[1]})" if named else ""
    return ""


def main() -> int:
    """Write the table into the page, and say how many promises are broken."""
    page = PAGE.read_text(encoding="utf-8")
    head = page.partition(MARK)[0]
    lines, broken = zip(*rows(earlier(page)), strict=True)
    table = [
        "| What | Measured | Promised | | By |",
        "|---|---|---|---|---|",
        *lines,
    ]
    PAGE.write_text(f"{head}{MARK}\n\n{machine()}\n\n" + "\n".join(table) + "\n", encoding="utf-8")
    print(*table, sep="\n")
    print(f"{sum(broken)} of {len(lines)} are broken", file=sys.stderr)
    return 1 if any(broken) else 0


if __name__ == "__main__":
    sys.exit(main())

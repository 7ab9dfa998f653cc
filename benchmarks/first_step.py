"""From Enter to the first step of training, by stage: `python -m benchmarks.first_step [ROUNDS]`.

What a person waits for: `ecotui --headless` is started on photos with a model, and goes through
what precedes training by default: diagnosis, the choice of number format and memory layout, layers
2 and 3, and the plan. A second run of the same kind knows the formats already. Beside it, a script
that makes of timm's functions what its `train.py` makes of them (the package does not hold it),
and takes one step: it checks nothing. A third run has preflight switched off. Two more are given,
as from the app's home, to an engine that had loaded its libraries while a person chose.

Times are from the start of the process to the first step done, medians of rounds in turn; stages
are those that the events tell. Prints one JSON object, keeps it in
`benchmarks/results/first_step.json`.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.audit import write_photos
from benchmarks.parts.keeping import keep
from ecotui import session, spare_engine, storage
from ecotui.config_file import load_config
from ecotui.events import Event, StageFinished, StageStarted, StepsTaken
from ecotui.paths import RunDir, list_runs
from ecotui.spare_engine import SpareEngine
from ecotui.stream import Tail

DEFAULT_ROUNDS = 3
PHOTOS, SIDE, BATCH, EPOCHS = 512, 128, 32, 20
MODEL = "resnet18"
LONGEST_SECONDS = 120.0
SECONDS_TO_CHOOSE = 8.0
RESULT = Path(__file__).with_name("results") / "first_step.json"
TIMMS = """
import sys, timm, timm.data, timm.optim, timm.scheduler, timm.utils, torch
root, model, side, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
timm.utils.random_seed(42)
network = timm.create_model(model, num_classes=2)
data = timm.data.resolve_data_config({"img_size": side}, model=network)
optimizer = timm.optim.create_optimizer_v2(network, opt="adamw", lr=1e-3)
train, val = (
    timm.data.create_loader(
        timm.data.create_dataset("", root=f"{root}/{split}"), data["input_size"], batch,
        is_training=split == "train", num_workers=4, device=torch.device("cpu"),
    )
    for split in ("train", "val")
)
network.train()
for images, labels in train:
    loss = torch.nn.functional.cross_entropy(network(images), labels)
    loss.item()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("stepped", flush=True)
    break
"""


def config_text(photos: Path, *, level: str) -> str:
    """Return the configuration of a run."""
    return (
        f'[data]\nroot = "{photos}"\nimage_size = {SIDE}\ncache = false\n'
        f'[model]\nname = "{MODEL}"\npretrained = false\n'
        f"[train]\nepochs = {EPOCHS}\nbatch_size = {BATCH}\n"
        f'[preflight]\nlevel = "{level}"\n'
    )


def ecotuis(folder: Path, config: Path, environ: Mapping[str, str]) -> dict[str, float]:
    """Start a run, stop it after its first step, and return what it took, by stage, seconds."""
    folder.mkdir()
    started = time.time()
    argv = (sys.executable, "-m", "ecotui", "--headless", str(config))
    with subprocess.Popen(
        argv, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            told = _until_stepped(folder / "runs", started)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LONGEST_SECONDS)
    return _by_stage(told, started)


def from_home(folder: Path, config: Path, environ: Mapping[str, str]) -> dict[str, float]:
    """Give a run to an engine that waits; return the same of it."""
    folder.mkdir()
    before, place = dict(os.environ), Path.cwd()
    os.environ.update(environ)
    os.chdir(folder)  # as the runs before it: what an environment is depends on it, too
    spare = SpareEngine()
    spare_engine.BUSY_LOAD = float("inf")  # what ran before is over, but the load still tells of it
    try:
        argv = session.engine_argv()
        spare.begin(argv)
        time.sleep(SECONDS_TO_CHOOSE)
        started = time.time()
        run = storage.create_run(load_config(str(config)), folder / "runs")
        engine = session.launch(run, owned=False, engine_argv=argv, spare=spare)
        try:
            told = _until_stepped(folder / "runs", started)
        finally:
            engine.engine_signal(signal.SIGTERM)
            assert engine.wait_until_gone(LONGEST_SECONDS)
    finally:
        spare.end()
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)
    return _by_stage(told, started)


def _by_stage(told: list[Event], started: float) -> dict[str, float]:
    took: dict[str, float] = {"all": told[-1].at - started, "until_engine": told[0].at - started}
    begun: dict[str, float] = {}
    for event in told:
        if isinstance(event, StageStarted):
            begun[event.stage] = event.at
        elif isinstance(event, StageFinished):
            took[f"stage_{event.stage}"] = event.at - begun[event.stage]
    staged = sum(seconds for name, seconds in took.items() if name.startswith("stage_"))
    took["between_stages"] = took["all"] - took["until_engine"] - staged
    return took


def _until_stepped(runs: Path, started: float) -> list[Event]:
    told: list[Event] = []
    tail: Tail | None = None
    while time.time() - started < LONGEST_SECONDS:
        if tail is None:
            found: list[RunDir] = list_runs(runs) if runs.is_dir() else []
            tail = Tail(found[0].events) if found and found[0].events.is_file() else None
        else:
            for _, event in tail.read():
                told.append(event)
                if isinstance(event, StepsTaken):
                    return told
        time.sleep(0.005)
    raise AssertionError(f"no step within {LONGEST_SECONDS:.0f} s; {told[-3:]}")


def timms(photos: Path, environ: Mapping[str, str]) -> dict[str, float]:
    """Run the script to its first step."""
    started = time.monotonic()
    argv = (sys.executable, "-c", TIMMS, str(photos), MODEL, str(SIDE), str(BATCH))
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stepped\n"
        took = time.monotonic() - started
        process.kill()
    return {"all": took}


def measured(place: Path, rounds: int) -> dict[str, Any]:
    """Return medians of every way."""
    photos = place / "photos"
    for split, count in (("train", PHOTOS), ("val", PHOTOS // 8)):
        write_photos(photos / split, count, 512, 384)
    configs = {level: place / f"{level}.toml" for level in ("quick", "off")}
    for level, path in configs.items():
        path.write_text(config_text(photos, level=level), encoding="utf-8")
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds + 1):
        environ = {**os.environ, "XDG_CACHE_HOME": str(place / f"cache{number}")}
        scripted = partial(timms, photos, environ)
        quick, off = configs["quick"], configs["off"]
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "timm": scripted,
            "first_run": partial(ecotuis, place / f"first{number}", quick, environ),
            "second_run": partial(ecotuis, place / f"second{number}", quick, environ),
            "without_preflight": partial(ecotuis, place / f"off{number}", off, environ),
            "home_with_preflight": partial(from_home, place / f"hq{number}", quick, environ),
            "home_without_preflight": partial(from_home, place / f"ho{number}", off, environ),
            "timm_again": scripted,
        }
        for name, way in ways.items():
            took = way()
            if number:  # the first fills the system's cache of files
                found.setdefault(name, []).append(took)
                print(f"{name}: {took['all']:.2f} s", file=sys.stderr)
    middle = {
        name: {key: statistics.median(one[key] for one in each) for key in each[0]}
        for name, each in found.items()
    }
    base = middle["timm"]["all"]
    ratios = {f"ratio_{name}": each["all"] / base for name, each in middle.items()}
    return {**middle, **ratios}


def main() -> None:
    """Measure, keep and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        found = {"rounds": rounds, **measured(Path(place), rounds)}
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

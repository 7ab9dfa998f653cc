"""Whether the protection leaves a healthy run alone: `python benchmarks/false_alarms.py PHOTOS`.

Claim: over three seeds of real photos, two epochs each and no fault, nothing is skipped, set
aside or gone back from, and the final weights are, bit for bit, those of a run in which nothing
may heal, every limit is out of reach and nothing is watched. What was only told is listed.

PHOTOS is a folder such as TrashNet's. Each run is an engine of its own, as people start it. Prints
one JSON object on stdout and a line a seed on stderr, keeps the figures in
`benchmarks/results/false_alarms.json`, and fails where the claim does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.parts.keeping import keep
from ecotui.config import RunConfig
from ecotui.config_file import LoadedConfig
from ecotui.engine.checkpoint import list_steps
from ecotui.events import EpochFinished, Event, GuardTripped, SampleSetAside, ValidationFinished
from ecotui.guard_register import GUARD_NAMES
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.paths import RunDir
from ecotui.storage import create_run
from ecotui.stream import Tail

RESULTS = Path(__file__).parent / "results" / "false_alarms.json"
SEEDS = (0, 1, 2)
EPOCHS = 2
COMPARED = ("model.safetensors", "ema.safetensors", "optim.safetensors")
OFF: dict[str, dict[str, Any]] = {
    "guards": {
        "healing": False,
        "silenced": [name for name in GUARD_NAMES if not name.startswith("nonfinite")],
        "warn_lost_fraction": 1.0,
        "max_lost_fraction": 1.0,
        "max_errors_in_a_row": 1_000_000,
        "max_nonfinite_in_a_row": 1_000_000,
        "spike_steps": 1_000_000,
        "check_state_every_steps": 1_000_000,
    },
    "watch": {"enabled": False},
}
"""As little protection as the settings allow."""


def settings(photos: Path, seed: int, off: dict[str, dict[str, Any]]) -> RunConfig:
    """Return a small model on small photos, with what a run can have of random and of averages."""
    return RunConfig.model_validate(
        {
            "data": {"root": str(photos), "image_size": 64},
            "model": {"name": "test_resnet", "pretrained": False, "drop_rate": 0.1},
            "augment": {"scale": [0.3, 1.0], "mixup": 0.2},
            "train": {
                "epochs": EPOCHS,
                "batch_size": 32,
                "learning_rate": 2e-3,
                "warmup_epochs": 0.5,
                "ema": True,
                "ema_decay": 0.99,
                "seed": seed,
            },
            "compute": {"device": "cpu", "threads": 1, "workers": 1},
            "preflight": {"level": "off"},
            **off,
        }
    )


def trained(config: RunConfig, runs: Path) -> tuple[RunDir, list[Event]]:
    """Train in an engine of its own, and return the run and what it stated."""
    run = create_run(LoadedConfig(config, runs / "config.toml", "false-alarms"), runs)
    argv = [sys.executable, "-m", "ecotui.engine", str(run.path)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment, check=False)
    events: list[Event] = []
    tail = Tail(run.events)
    while found := tail.read():
        events += [event for _, event in found]
    assert done.returncode == 0, events[-1:]
    return run, events


def digests(run: RunDir) -> dict[str, str]:
    """Return a hash of each part of the final state."""
    newest = list_steps(run.checkpoints)[0]
    return {name: hashlib.sha256((newest / name).read_bytes()).hexdigest() for name in COMPARED}


def measured(photos: Path, seed: int, runs: Path) -> dict[str, Any]:
    """Return what one seed has shown, with the protection on and off."""
    started = time.monotonic()
    on, events = trained(settings(photos, seed, {}), runs)
    off, _ = trained(settings(photos, seed, OFF), runs)
    trips = [event for event in events if isinstance(event, GuardTripped)]
    acts = (SampleSetAside, RunRolledBack, IncidentRecorded)
    scores = [event.accuracy for event in events if isinstance(event, ValidationFinished)]
    return {
        "seed": seed,
        "epochs": sum(isinstance(event, EpochFinished) for event in events),
        "accuracy": scores[-1],
        "acted": [f"{trip.guard}: {trip.what}" for trip in trips if trip.action != "none"],
        "undone": [event.kind for event in events if isinstance(event, acts)],
        "told": [f"{trip.guard}: {trip.what}" for trip in trips if trip.action == "none"],
        "is_bit_identical": digests(on) == digests(off),
        "weights": digests(on)["model.safetensors"],
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> int:
    """Measure, print and keep; 1 where the claim does not hold."""
    if len(sys.argv) < 2:
        print("left out: it needs a folder of photos: false_alarms.py PHOTOS")
        return 0
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            seeds.append(measured(Path(sys.argv[1]).resolve(), seed, Path(folder)))
            print(json.dumps(seeds[-1]), file=sys.stderr)
    holds = all(
        not (each["acted"] or each["undone"])
        and each["is_bit_identical"]
        and each["epochs"] == EPOCHS
        for each in seeds
    )
    are_different = len({each["weights"] for each in seeds}) == len(SEEDS)
    found = {"holds": holds and are_different, "seeds": seeds}
    print(json.dumps(found))
    keep(RESULTS, found)
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())

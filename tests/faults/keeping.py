"""What a run promised to keep, and whether it did."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import safetensors.numpy

from ecotui.config_file import parse_file
from ecotui.engine import checkpoint
from ecotui.events import AnyEvent, CheckpointSaved, RunResumed
from ecotui.paths import RunDir
from tests.faults.watching import Watch, stated

EXACT_COLUMNS = ("epoch", "step", "val_loss", "val_accuracy", "val_macro_f1", "learning_rate")


def lost(watch: Watch) -> tuple[list[str], int]:
    """Say what a dead engine has lost of what it had announced.

    Returns:
        The faults in words, and how many checkpoints were read and compared.
    """
    faults: list[str] = []
    verified = 0
    for name in sorted(watch.names()):
        if name.startswith(("step-", checkpoint.BEST_PREFIX)):
            verified += 1
            try:
                checkpoint.verify(watch.run.checkpoints / name)
            except checkpoint.BadCheckpointError as error:
                faults.append(f"{name} is damaged: {error}")
    for path in _owed(watch):
        if not (watch.run.path / path).is_dir():
            faults.append(f"{path} was announced and is gone")
    faults += _badly_resumed(watch.events)
    if watch.count("health_alerted"):
        told = [event for event in watch.attempt if event.kind == "health_alerted"]
        faults += [event.message for event in told if event.code == "damaged_checkpoint"]
    return faults, verified


def _owed(watch: Watch) -> list[str]:
    """Return the announced checkpoints that retention had no right to remove."""
    folder = watch.run.checkpoints.name
    lying = [f"{folder}/{name}" for name in watch.names() if name.startswith("step-")]
    announced = stated(watch.events, "checkpoint_saved")
    keep = parse_file(watch.run.config).checkpoint.keep
    owed = [path for path in sorted({*lying, *announced})[-keep:] if path in announced]
    dropped = set(stated(watch.events, "checkpoint_dropped"))
    owed += stated(watch.events, "best_checkpoint_changed")[-1:]
    return [path for path in owed if path not in dropped]


def _badly_resumed(events: list[AnyEvent]) -> list[str]:
    """Find attempts that went back behind the newest checkpoint announced before."""
    faults: list[str] = []
    newest = 0
    for event in events:
        if isinstance(event, CheckpointSaved):
            newest = event.step
        elif isinstance(event, RunResumed):
            if newest and event.checkpoint is None:
                faults.append(f"began anew although step {newest} had been saved")
            if event.from_step < newest:
                faults.append(f"went back to step {event.from_step} behind {newest}")
            if event.checkpoint is not None and event.exactness not in (None, "E2"):
                faults.append(f"not bit-exact: {event.note}")
    return faults


def thrown_away(watch: Watch, killed_at: float) -> list[float]:
    """Return for how many seconds an attempt had trained since its newest checkpoint.

    Empty where it had not trained at all.

    Args:
        watch: Of the attempt.
        killed_at: Unix seconds.
    """
    since = None
    for event in watch.attempt:
        if event.kind == "epoch_started" and since is None:
            since = event.at
        elif isinstance(event, CheckpointSaved):
            since = event.at - event.seconds
    return [] if since is None else [killed_at - since]


def differences(watch: Watch, whole: RunDir) -> list[str]:
    """Say how a run that has ended differs from one that was never interrupted."""
    faults, _ = lost(watch)
    faults += _event_log_faults(watch)
    ours, theirs = _final(watch.run), _final(whole)
    every = sorted(ours.keys() | theirs.keys())
    faults += [
        f"{name} differs in its bits" for name in every if ours.get(name) != theirs.get(name)
    ]
    return faults + _metric_differences(watch.run, whole)


def _final(run: RunDir) -> dict[str, bytes]:
    """Return every tensor file of the newest checkpoint and of the best model."""
    newest = checkpoint.list_steps(run.checkpoints)[0]
    best = checkpoint.find_best(run.checkpoints)
    assert best is not None, "no best model"
    found = {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}
    # A best model that is made once more stands beside the first, under a name with a number.
    title = re.sub(r"-\d+$", "", best.name)
    found |= {f"{title}/{path.name}": path.read_bytes() for path in best.glob("*.safetensors")}
    assert {"model.safetensors", "ema.safetensors"} <= found.keys()
    # Those of Python and NumPy begin anywhere, and nothing draws from them.
    del found["generators.safetensors"]
    generators = safetensors.numpy.load_file(newest / "generators.safetensors")
    return {**found, "torch's generator": generators["torch_cpu"].tobytes()}


def _event_log_faults(watch: Watch) -> list[str]:
    raw = watch.run.events.read_bytes()
    faults = [] if raw.endswith(b"\n") else ["the last line of the log is torn"]
    if watch.num_unknown:
        faults.append(f"{watch.num_unknown} lines are no events")
    numbers = [json.loads(line)["seq"] for line in raw.splitlines()]
    if numbers != list(range(1, len(numbers) + 1)):
        faults.append("seq has gaps")
    if watch.events[-1].kind != "run_finished":
        faults.append(f"ended with {watch.events[-1].kind}")
    return faults


def _metric_differences(run: RunDir, whole: RunDir) -> list[str]:
    rows, wanted = _rows(run.metrics), _rows(whole.metrics)
    if len(rows) != len(wanted):
        return [f"{len(rows)} rows of metrics instead of {len(wanted)}"]
    faults = []
    for row, want in zip(rows, wanted, strict=True):
        if [row[name] for name in EXACT_COLUMNS] != [want[name] for name in EXACT_COLUMNS]:
            faults.append(f"metrics of epoch {row['epoch']} differ: {row} instead of {want}")
        # The sum of an epoch that was cut is added up in another order.
        if float(row["train_loss"]) != pytest.approx(float(want["train_loss"]), rel=1e-5):
            faults.append(f"training loss of epoch {row['epoch']} differs")
    return faults


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

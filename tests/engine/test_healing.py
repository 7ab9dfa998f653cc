"""Every fault with healing on, and off: the run goes on with a useful model, or says why not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from ecotui.engine.data.demo import demo_root
from ecotui.errors import ExitCode
from ecotui.events import (
    EpochFinished,
    Event,
    GuardTripped,
    RunFailed,
    RunFinished,
    SampleSetAside,
    ValidationFinished,
)
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.paths import RunDir
from tests.engine.harness import Harness, of
from tests.engine.injector import CASES, Case, Injector

QUICK = (
    "a pixel is NaN",
    "one sample makes every score NaN",
    "scores are NaN in one part",
    "the loss is NaN three times running",
    "a moment is NaN",
    "the average is NaN",
    "an update fails half way",
    "memory runs out in a backward pass",
    "memory runs out in an evaluation",
    "scores of an evaluation are NaN",
    "files vanish",
)
STEPS_PER_EPOCH = 5
DIGITS = "demo:digits"
DIGITS_TRAIN = {"epochs": 6, "batch_size": 64, "learning_rate": 4e-3}
DIGITS_STEPS_PER_EPOCH = 22
_UNDISTURBED: list[float] = []


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """100 photos in 2 classes that a model can tell apart at once."""
    root = tmp_path / "shades"
    generator = np.random.Generator(np.random.PCG64(3))
    for shade, name in ((60, "dark"), (190, "light")):
        (root / name).mkdir(parents=True)
        for number in range(50):
            noise = generator.integers(-50, 50, size=(16, 16, 3)) + shade
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def place_of(case: Case, steps_per_epoch: int) -> int:
    places = {"first": 0, "mid": steps_per_epoch // 2, "last": steps_per_epoch - 1}
    return places.get(case.where, steps_per_epoch)


def settings_for(case: Case, root: Path | str, **guards: Any) -> dict[str, dict[str, Any]]:
    train = {"epochs": 3, "batch_size": 16, "learning_rate": 2e-3, "ema": True, "ema_decay": 0.8}
    return {
        "data": {"root": str(root), "image_size": 32, "val_fraction": 0.2},
        "train": {**train, **case.settings.get("train", {})},
        "augment": {"scale": [0.8, 1.0], "color_jitter": 0.0},
        "preflight": {"level": "off"},
        "guards": guards,
    }


def run_case(
    name: str, harness: Harness, patch: pytest.MonkeyPatch, root: Path | str, **guards: Any
) -> tuple[RunDir, list[Event], ExitCode, Injector]:
    case, told = CASES[name], settings_for(CASES[name], root, **guards)
    is_digits = root == DIGITS or Path(root).name == "digits"
    if is_digits:
        told["train"] |= DIGITS_TRAIN
    injector = Injector(
        patch, place_of(case, DIGITS_STEPS_PER_EPOCH if is_digits else STEPS_PER_EPOCH), case.times
    )
    case.fault(injector)
    run = harness.new(**told)
    events, code = harness.run(run)
    assert injector.fired, "the fault never came"
    return run, events, code, injector


def assert_useful(run: RunDir, events: list[Event], least: float) -> None:
    for path in run.checkpoints.glob("*/*.safetensors"):
        if path.name != "generators.safetensors":
            for key, tensor in safetensors.torch.load_file(path).items():
                assert torch.isfinite(tensor.float()).all(), (path, key)
    best = max(each.accuracy for each in of(ValidationFinished, events) if each.loss is not None)
    assert best >= least


def assert_healed(name: str, events: list[Event], code: ExitCode) -> None:
    case = CASES[name]
    assert code == ExitCode.DONE, events[-1]
    assert of(RunFinished, events)
    guards = [trip.guard for trip in of(GuardTripped, events)]
    assert not case.guard or case.guard in guards
    assert all(trip.action != "stop" for trip in of(GuardTripped, events))
    assert bool(of(RunRolledBack, events)) is case.rolls_back
    if not case.guard:
        assert len({aside.path for aside in of(SampleSetAside, events)}) == 2


def assert_stopped(name: str, events: list[Event], code: ExitCode) -> None:
    case = CASES[name]
    assert code == (ExitCode.OUT_OF_MEMORY if case.is_memory else ExitCode.HEALTH), events[-1]
    trip = of(GuardTripped, events)[-1]
    assert (trip.guard, trip.action) == (case.guard_off or case.guard or "bad_input", "stop")
    failed = of(RunFailed, events)[0]
    assert failed.what == trip.what
    assert failed.remedy
    assert not of(RunRolledBack, events)


@pytest.mark.parametrize("name", QUICK)
def test_a_run_heals_and_ends_with_a_useful_model(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch, shades: Path
) -> None:
    run, events, code, _ = run_case(name, harness, monkeypatch, shades)
    assert_healed(name, events, code)
    assert_useful(run, events, 0.9)


@pytest.mark.parametrize("name", QUICK)
def test_without_healing_it_stops_and_names_the_cause(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch, shades: Path
) -> None:
    _, events, code, _ = run_case(name, harness, monkeypatch, shades, healing=False)
    assert_stopped(name, events, code)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The demo's photos, to be spoilt."""
    root = tmp_path / "digits"
    shutil.copytree(demo_root("digits"), root)
    return root


@pytest.fixture
def undisturbed(harness: Harness, digits: Path) -> float:
    """Accuracy of a run without a fault."""
    if not _UNDISTURBED:
        told = settings_for(CASES["scores are NaN"], digits)
        told["train"] |= DIGITS_TRAIN
        _, events = harness.train(**told)
        _UNDISTURBED.append(max(each.accuracy for each in of(ValidationFinished, events)))
    return _UNDISTURBED[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_fault_on_digits_costs_two_points_at_most(
    name: str,
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    digits: Path,
    undisturbed: float,
) -> None:
    run, events, code, _ = run_case(name, harness, monkeypatch, digits)
    assert_healed(name, events, code)
    assert_useful(run, events, undisturbed - 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_fault_stops_a_run_that_may_not_heal(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch, shades: Path
) -> None:
    _, events, code, _ = run_case(name, harness, monkeypatch, shades, healing=False)
    assert_stopped(name, events, code)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_runs_without_a_fault_have_no_false_alarm_and_the_same_bits(
    harness: Harness,
) -> None:
    for seed in range(20):
        digests = []
        for healing in (True, False):
            train = {**DIGITS_TRAIN, "epochs": 2, "seed": seed, "ema": True}
            _, events = harness.train(
                data={"root": DIGITS, "image_size": 32, "val_fraction": 0.2},
                train=train,
                guards={"healing": healing},
                preflight={"level": "off"},
            )
            assert [trip for trip in of(GuardTripped, events) if trip.action != "none"] == []
            assert of(RunRolledBack, events) == of(IncidentRecorded, events) == []
            assert of(SampleSetAside, events) == []
            digests.append([each.weights_digest for each in of(EpochFinished, events)])
        assert digests[0] == digests[1]


@pytest.mark.parametrize(("share", "ends"), [(0.3, ExitCode.HEALTH), (0.03, ExitCode.DONE)])
def test_a_share_of_corrupt_photos_is_got_over_or_stops_the_run(
    share: float, ends: ExitCode, harness: Harness, shades: Path
) -> None:
    photos = sorted(shades.rglob("*.png"))
    broken = photos[:: round(1 / share)]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    run = harness.new(**settings_for(CASES["scores are NaN"], shades))
    events, code = harness.run(run)
    assert code == ends
    wanted = {str(path.relative_to(shades)) for path in broken}
    aside = {each.path for each in of(SampleSetAside, events)}
    assert aside == wanted if code == ExitCode.DONE else aside <= wanted
    if code != ExitCode.DONE:
        assert "quarantine.jsonl" in of(RunFailed, events)[0].remedy

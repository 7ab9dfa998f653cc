"""Every fault with healing on, and off: the run goes on with a useful model, or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from ecotui.errors import ExitCode
from ecotui.events import (
    Event,
    GuardTripped,
    RunFailed,
    RunFinished,
    SampleSetAside,
    ValidationFinished,
)
from ecotui.healing import RunRolledBack
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
PLACES = {"first": 0, "mid": 2, "last": STEPS_PER_EPOCH - 1, "second": STEPS_PER_EPOCH}


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
    case = CASES[name]
    injector = Injector(patch, PLACES[case.where], case.times)
    case.fault(injector)
    run = harness.new(**settings_for(case, root, **guards))
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


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_fault_on_digits_costs_two_points_at_most(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch, undisturbed: float
) -> None:
    run, events, code, _ = run_case(name, harness, monkeypatch, DIGITS)
    assert_healed(name, events, code)
    assert_useful(run, events, undisturbed - 0.02)

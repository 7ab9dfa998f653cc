"""Whatever becomes of checkpoints, none is loaded that is not what was saved, and it is told."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecotui.engine import checkpoint
from ecotui.errors import ExitCode
from ecotui.events import HealthAlerted, RunResumed
from ecotui.paths import RunDir
from tests.engine.harness import Harness, final_weights, of, same
from tests.faults.mutations import KINDS, Scene, copied, digest_of

NUM_FAST, NUM_ALL = 156, 1_014
"""Every kind six times, and every kind 39 times."""
Loader = Callable[[Path], tuple[Path | None, list[str]]]
NO_PREFLIGHT: dict[str, Any] = {"preflight": {"level": "off"}}


@dataclass(frozen=True, slots=True)
class Made:
    """A run, and what its checkpoints hold.

    Attributes:
        run: Stopped after some steps.
        digests: Of each file, the manifest among them, by checkpoint and name.
    """

    run: RunDir
    digests: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.Generator(np.random.PCG64(5))
    for label in ("cat", "dog"):
        (root / label).mkdir()
        for number in range(8):
            noise = generator.integers(0, 256, size=(20, 20, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / label / f"{number}.png")
    return Harness(tmp_path_factory.mktemp("runs"), root)


@pytest.fixture(scope="module")
def made(harness: Harness) -> Made:
    """A run of two epochs that keeps the state of each step."""
    every_step = {"interval_seconds": 1e-6, "keep": 100, "background": False}
    run, _ = harness.train(checkpoint=every_step, train={"optimizer": "sgd"}, **NO_PREFLIGHT)
    steps = checkpoint.list_steps(run.checkpoints)
    for surplus in steps[4:]:
        shutil.rmtree(surplus)
    kept = checkpoint.list_steps(run.checkpoints)
    assert len(kept) == 4
    return Made(
        run, {path.name: {file.name: digest_of(file) for file in path.iterdir()} for path in kept}
    )


def scene_of(made: Made, folder: Path, seed: int) -> Scene:
    copied(made.run.checkpoints, folder / "run" / "checkpoints")
    (folder / "outside").mkdir()
    checkpoints = folder / "run" / "checkpoints"
    steps = checkpoint.list_steps(checkpoints)
    return Scene(checkpoints, folder / "outside", random.Random(seed), steps)


def judge(made: Made, scene: Scene, load: Loader) -> list[str]:
    """Return what is wrong with what a loader did."""
    wanted = next((path.name for path in scene.steps if path.name not in scene.spoilt), None)
    path, told = load(scene.folder)
    faults = []
    if (None if path is None else path.name) != wanted:
        faults.append(f"took {path and path.name} instead of {wanted}")
    if path is not None and path.name in made.digests:
        read = {file: digest_of(path / file) for file in made.digests[path.name]}
        if read != made.digests[path.name]:
            faults.append("restored other bytes than were saved")
    newer = {name for name in scene.spoilt if wanted is None or name > wanted}
    untold = {name for name in newer if not any(name in words for words in told)}
    if untold:
        faults.append(f"did not tell of {untold}")
    return faults


def tried(made: Made, folder: Path, count: int, load: Loader) -> Counter[str]:
    """Damage copies in all ways, and return how often each way led to a fault."""
    found: Counter[str] = Counter()
    for seed in range(count):
        place = folder / str(seed)
        place.mkdir()
        scene = scene_of(made, place, seed)
        mutate = KINDS[seed % len(KINDS)]
        mutate(scene)
        try:
            faults = judge(made, scene, load)
        except Exception as error:  # A crash is a fault like any other.
            faults = [repr(error)]
        if faults:
            found[f"{mutate.__name__}: {faults[0]}"] += 1
        if count > NUM_FAST:  # Removing folders takes longer than all the rest.
            shutil.rmtree(place)
    return found


def test_a_hundred_mutations_load_nothing_wrong_and_are_told(made: Made, tmp_path: Path) -> None:
    assert tried(made, tmp_path, NUM_FAST, checkpoint.newest_valid) == {}


@pytest.mark.slow
def test_a_thousand_mutations_load_nothing_wrong_and_are_told(made: Made, tmp_path: Path) -> None:
    assert tried(made, tmp_path, NUM_ALL, checkpoint.newest_valid) == {}


def test_a_loader_that_compares_no_digests_is_caught(made: Made, tmp_path: Path) -> None:
    def careless(folder: Path) -> tuple[Path | None, list[str]]:
        steps = checkpoint.list_steps(folder)
        return (steps[0] if steps else None), []

    found = tried(made, tmp_path, len(KINDS), careless)
    kinds = {name.partition(":")[0] for name in found}
    assert {"flip_a_bit", "cut_short", "swap_between_steps", "lie_in_the_manifest"} <= kinds
    assert len(kinds) >= len(KINDS) // 2


def test_the_undamaged_run_is_loaded_in_silence(made: Made, tmp_path: Path) -> None:
    scene = scene_of(made, tmp_path, 0)
    assert judge(made, scene, checkpoint.newest_valid) == []
    assert checkpoint.newest_valid(scene.folder) == (scene.newest, [])


SAMPLE = ("flip_a_bit", "swap_between_steps", "give_a_newer_name", "link_a_folder", "put_a_pipe")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_damaged_run_goes_on_from_the_older_state_says_so_and_ends_the_same(
    name: str, made: Made, harness: Harness, tmp_path: Path
) -> None:
    shutil.copytree(made.run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    scene = scene_of(made, tmp_path, 1)
    next(kind for kind in KINDS if kind.__name__ == name)(scene)
    wanted = next(path for path in scene.steps if path.name not in scene.spoilt)
    events, code = harness.run(RunDir(tmp_path / "run"), attempt=2)
    assert code == ExitCode.DONE, events[-1]
    (resumed,) = of(RunResumed, events)
    assert resumed.checkpoint == f"checkpoints/{wanted.name}"
    assert {alert.code for alert in of(HealthAlerted, events)} == {"damaged_checkpoint"}
    assert list((scene.folder / "quarantine").iterdir())
    assert same(final_weights(RunDir(tmp_path / "run")), final_weights(made.run))

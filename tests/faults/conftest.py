"""Photos, a configuration with everything on, and one fork server for all fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.jobs import TrainJob
from ecotui.paths import RunDir
from tests.faults.engines import EngineServer, start_fresh

CLASSES = ("cat", "dog", "owl")
PHOTOS_PER_CLASS = 40

EVERYTHING: dict[str, dict[str, Any]] = {
    "data": {"image_size": 32, "val_fraction": 0.25, "test_fraction": 0.2},
    "model": {
        "name": "test_resnet",
        "pretrained": False,
        "drop_rate": 0.3,
        "drop_path_rate": 0.1,
    },
    "train": {
        "epochs": 5,
        "batch_size": 8,
        "optimizer": "adamw",
        "scheduler": "cosine",
        "learning_rate": 5e-3,
        "ema": True,
        "ema_decay": 0.9,
        "metric": "macro_f1",
    },
    "augment": {
        "auto_augment": "rand-m9-mstd0.5-inc1",
        "random_erasing": 0.3,
        "mixup": 0.3,
        "cutmix": 0.3,
        "mix_probability": 0.5,
    },
    "compute": {"device": "cpu", "workers": 1, "threads": 1},
    "checkpoint": {"interval_seconds": 0.1, "keep": 2},
    "preflight": {"level": "off"},
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """The fork server; its imports begin here, and are awaited where they are needed."""
    started = EngineServer(tmp_path_factory.mktemp("server"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in three classes, and one file that is no photo."""
    root = tmp_path_factory.mktemp("faults") / "photos"
    generator = np.random.Generator(np.random.PCG64(7))
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(PHOTOS_PER_CLASS):
            noise = generator.integers(0, 256, size=(96, 96, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number:02d}.png")
    (root / "cat" / "broken.png").write_bytes(b"no photo")
    return root


@dataclass(slots=True)
class Directories:
    """Makes run directories of one configuration."""

    folder: Path
    table: dict[str, dict[str, Any]]
    num_made: int = field(default=0)

    def new(self, name: str = "run") -> RunDir:
        self.num_made += 1
        run = RunDir(self.folder / f"{name}-{self.num_made}")
        run.path.mkdir(parents=True)
        run.config.write_text(to_toml(RunConfig.model_validate(self.table)))
        run.job.write_text(TrainJob().model_dump_json())
        return run


MakeDirectories = Callable[..., Directories]


@pytest.fixture(scope="session")
def directories(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeDirectories:
    """Give a maker of run directories with everything on; sections can be changed."""

    def make(**sections: dict[str, Any]) -> Directories:
        table = {name: dict(values) for name, values in EVERYTHING.items()}
        table["data"]["root"] = str(photos)
        for name, values in sections.items():
            table.setdefault(name, {}).update(values)
        return Directories(tmp_path_factory.mktemp("runs"), table)

    return make


@pytest.fixture(scope="session")
def made(server: EngineServer, directories: MakeDirectories) -> Directories:
    """Run directories with everything on; the server does its imports meanwhile."""
    return directories()


@pytest.fixture(scope="session")
def whole(made: Directories) -> RunDir:
    """A run that was never interrupted, in an interpreter of its own."""
    run = made.new("whole")
    code = start_fresh(run).wait(180)
    assert code == 0, run.log.read_text()
    return run

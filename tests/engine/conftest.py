"""Small made photos, in the layouts that people have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecotui.engine import control
from ecotui.engine.probing import Answer, Probe
from tests.engine.harness import Harness

CLASSES = ("cat", "dog", "owl")
PHOTOS_PER_CLASS = 8

HEALTHY = {
    "torch": Answer({"version": "2.2.0"}),
    "numpy_torch": Answer({"version": "1.26.4"}),
    "torchvision": Answer({"version": "0.17.0"}),
    "decoding": Answer({"version": "12.3.0", "faults": {}}),
    "timm": Answer({"version": "1.0.31", "knows": True}),
    "model": Answer({"name": "test_resnet"}),
    "safetensors": Answer({"version": "0.8.0"}),
    "loader": Answer({"workers": 2}),
    "device": Answer({"cuda": [], "mps": False, "bf16": False, "cuda_build": ""}),
    "number_formats": Answer({"cpu": {"bfloat16": "", "float16": ""}}),
    "accelerator": Answer({"devices": []}),
    "writing": Answer({"place": "/runs"}),
}
"""What children answer where all is well."""

NEEDED = {
    **{"torch": "2.2", "torchvision": "0.17", "timm": "1.0.31", "numpy": "1.26"},
    **{"pillow": "10.3", "safetensors": "0.4"},
}
VERSIONS = {
    **{"torch": "2.2.0", "torchvision": "0.17.0", "timm": "1.0.31", "numpy": "1.26.4"},
    **{"pillow": "12.3.0", "safetensors": "0.8.0"},
}
SITE = "/environment/lib/python3.11/site-packages"


def told_inventory(versions: dict[str, str | None] | None = None, **changed: Any) -> dict[str, Any]:
    """Return what a healthy interpreter says of itself, with some of it changed."""
    present = {**VERSIONS, **(versions or {})}
    return {
        "python": "3.11.7",
        "executable": sys.executable,
        "prefix": "/environment",
        "base_prefix": "/usr",
        "purelib": SITE,
        "packages": {
            name: [{"version": version, "place": SITE, "installer": "pip", "local": ""}]
            for name, version in present.items()
            if version is not None
        },
        "requires": [f"{name}>={low}" for name, low in NEEDED.items()],
        "origins": {name: f"{SITE}/{name}/__init__.py" for name in ("torch", "timm", "numpy")},
        "builds": {},
        "shadows": [],
        **changed,
    }


Answering = Callable[..., None]
WritePhoto = Callable[[Path], Path]


@pytest.fixture(scope="session")
def write_photo() -> WritePhoto:
    """Writes a small photo of its own noise, in the format its name ends in."""
    generator = np.random.Generator(np.random.PCG64(7))

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = generator.integers(12, 40, size=2)
        noise = generator.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory, write_photo: WritePhoto) -> Path:
    """3 classes with 8 photos each, PNG and JPEG, in sub-folders. Not to be changed."""
    root = tmp_path_factory.mktemp("photos")
    for name in CLASSES:
        for number in range(PHOTOS_PER_CLASS):
            below = "default" if number % 2 else "real_world"
            ending = "png" if number % 3 else "jpg"
            write_photo(root / name / below / f"{number:02d}.{ending}")
    return root


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Give the children's answers: healthy ones, with some changed or left out (None)."""
    monkeypatch.setattr(Probe, "_begin_first", lambda self: None)
    monkeypatch.setattr(Probe, "inventory", lambda self, poll: told_inventory())
    monkeypatch.setattr(Probe, "has_passed", lambda self, module: True)

    def answer(**changed: Answer | None) -> None:
        answers = {name: kept for name, kept in (HEALTHY | changed).items() if kept is not None}

        def fake(self: Probe, poll: Callable[[], None]) -> dict[str, Answer]:
            poll()
            return answers

        monkeypatch.setattr(Probe, "answers", fake)

    return answer


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what an interpreter has: versions by package (None is absent), `facts` of its own."""

    def say(facts: dict[str, Any] | None = None, **versions: str | None) -> None:
        told = told_inventory(versions, **(facts or {}))
        monkeypatch.setattr(Probe, "inventory", lambda self, poll: told)

    return say


@pytest.fixture
def harness(
    tmp_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> Harness:
    """Whole runs in this process, in an environment that is taken for healthy."""
    answering()
    monkeypatch.setattr(control, "COMMANDS_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(control, "PAUSE_INTERVAL_SECONDS", 0.001)
    return Harness(tmp_path, photo_folder)

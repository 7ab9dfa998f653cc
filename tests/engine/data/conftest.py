"""Photos in two classes, and a folder for their kept pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecotui.engine.data import content
from tests.engine.data.pictures import NUM_A_CLASS
from tests.engine.data.test_sources import photo_like


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(2 * NUM_A_CLASS):
        path = root / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        photo_like(160, 120, number).save(path, quality=90)
    return root


@pytest.fixture
def photos(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "photos"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written a moment ago count as old: what is noted of them is tested at once."""
    monkeypatch.setattr(content, "SETTLED_SECONDS", -1.0)

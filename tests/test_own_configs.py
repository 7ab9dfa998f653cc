"""The user's own configs: found where one works, told apart from other TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.config import RunConfig
from ecotui.own_configs import SECTIONS, own_configs
from ecotui.paths import user_config


def test_the_sections_are_those_of_the_configuration() -> None:
    assert set(RunConfig.model_fields) == SECTIONS


def test_only_configs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('[data]\nroot = "photos"\n[model]\nname = "resnet18"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "broken.toml").write_text("[data\n")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "folder.toml").mkdir()
    kept = user_config().parent / "configs"
    kept.mkdir(parents=True)
    (kept / "always.toml").write_text("# What I always do. More.\n[train]\nepochs = 3\n")
    assert [(each.path.name, each.about) for each in own_configs()] == [
        ("mine.toml", "resnet18 on photos"),
        ("always.toml", "What I always do"),
    ]

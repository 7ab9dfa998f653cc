"""Home has an engine load its libraries while a person chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ecotui import app
from ecotui.app import EcoApp
from ecotui.app_settings import AppSettings
from ecotui.paths import RunDir
from ecotui.session_factory import REAL_ENGINE, SessionFactory


@dataclass
class Asked:
    """What the app asked of the engine's side, in order."""

    words: list[str] = field(default_factory=list)

    def sessions(self) -> SessionFactory:
        return SessionFactory(
            launch=REAL_ENGINE.launch,
            attach=REAL_ENGINE.attach,
            prepare=lambda: self.words.append("prepare"),
            relax=lambda: self.words.append("relax"),
        )


def visited(
    tmp_path: Path, *, seconds: float, opening: RunDir | None = None, is_readonly: bool = False
) -> list[str]:
    asked = Asked()

    async def visit() -> int:
        settings = AppSettings(is_readonly=is_readonly)
        opened = EcoApp(opening, tmp_path, sessions=asked.sessions(), settings=settings)
        async with opened.run_test() as pilot:
            await pilot.pause(seconds)
            return len(asked.words)

    before = asyncio.run(visit())
    return [*asked.words[:before], "left", *asked.words[before:]]


def test_one_is_prepared_at_home_and_let_go_with_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SECONDS_TO_LOOK_ROUND", 0.05)
    assert visited(tmp_path, seconds=0.5) == ["prepare", "left", "relax"]


def test_it_is_let_go_where_nothing_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SECONDS_TO_LOOK_ROUND", 0.05)
    monkeypatch.setattr(app, "SECONDS_TO_CHOOSE", 0.1)
    assert visited(tmp_path, seconds=0.6) == ["prepare", "relax", "left", "relax"]


def test_who_leaves_at_once_has_none(tmp_path: Path) -> None:
    assert visited(tmp_path, seconds=0.1) == ["left"]


def test_who_only_looks_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SECONDS_TO_LOOK_ROUND", 0.05)
    assert visited(tmp_path, seconds=0.5, is_readonly=True) == ["left"]


def test_who_watches_a_run_has_none(
    tmp_path: Path, recorded: Callable[[str], RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SECONDS_TO_LOOK_ROUND", 0.05)
    run = recorded("full_run")
    assert visited(tmp_path, seconds=0.5, opening=run) == ["left"]

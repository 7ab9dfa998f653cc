"""No search for garbage before the first frame, and none through what was there by then."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import pytest

from ecotui import app_verbs
from ecotui.app import EcoApp
from ecotui.entry import main
from ecotui.launching import launching, settle


@pytest.mark.parametrize(
    ("verb", "argv"),
    [
        ("run", []),
        ("run", ["digits"]),
        ("attach", ["attach"]),
        ("resume", ["resume"]),
        ("replay", ["replay"]),
    ],
)
def test_every_way_into_the_app_is_launched_without_it(
    monkeypatch: pytest.MonkeyPatch, verb: str, argv: list[str]
) -> None:
    seen: list[bool] = []

    def opened(*_: object, **__: object) -> int:
        seen.append(gc.isenabled())
        return 0

    monkeypatch.setattr(app_verbs, verb, opened)
    with pytest.raises(SystemExit):
        main(argv)
    assert seen == [False]
    assert gc.isenabled()


def test_it_begins_once_there_is_a_frame_and_leaves_out_what_was_there(tmp_path: Path) -> None:
    async def open_home() -> tuple[bool, int]:
        app = EcoApp(None, tmp_path)
        async with app.run_test() as pilot:
            deadline = time.monotonic() + 20.0
            while not gc.isenabled() and time.monotonic() < deadline:
                await pilot.pause(0.02)
            return gc.isenabled(), gc.get_freeze_count()

    with launching():
        is_on, num_left_out = asyncio.run(open_home())
    assert is_on
    assert num_left_out
    assert not gc.get_freeze_count()


def test_nothing_is_left_out_where_nothing_was_launched() -> None:
    settle()
    assert gc.isenabled()
    assert not gc.get_freeze_count()


def test_a_launch_that_fails_leaves_it_on() -> None:
    with pytest.raises(ValueError, match="no"), launching():
        raise ValueError("no")
    assert gc.isenabled()

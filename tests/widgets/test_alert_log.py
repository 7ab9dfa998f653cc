"""The log of alerts: levels, words, acknowledging, and fifty thousand of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.pilot import Pilot

from ecotui.alert_lines import Filter
from ecotui.app_settings import AppSettings
from ecotui.log_lines import PackedLines
from ecotui.shell import Shell
from ecotui.widgets.alert_log import AlertLog
from ecotui.widgets.log_view import LogView
from tests.drawing import stand_still
from tests.screens.looks import text_on

LEVELS = ("note", "warning", "critical")


def line(seq: int, *, what: str = "", level: str = "") -> str:
    return json.dumps(
        {
            "kind": "guard_tripped",
            "seq": seq,
            "at": 1_790_000_000.0 + seq,
            "severity": level or LEVELS[seq % 3],
            "layer": 4 + seq % 4,
            "guard": "loss_spike",
            "what": what or f"alert {seq}",
            "step": seq,
        }
    )


class Alone(Shell):
    chosen: tuple[str, ...] | list[str] = ()

    def on_log_view_chosen(self, event: LogView.Chosen) -> None:
        self.chosen = [*self.chosen, event.line]

    def compose(self) -> ComposeResult:
        log = AlertLog()
        log.add_class("panel")
        yield log


Story = Callable[[Any, AlertLog, Pilot[Any]], Coroutine[Any, Any, None]]


def play(
    tmp_path: Path, lines: PackedLines, story: Story, size: tuple[int, int] = (90, 14)
) -> None:
    async def tell() -> None:
        app = Alone(tmp_path, AppSettings(theme="mono"))
        app.animation_level = "none"
        async with app.run_test(size=(90, 14)) as pilot:
            log = app.query_one(AlertLog)
            log.show(lines)
            log.focus()
            await stand_still(pilot)
            await story(app, log, pilot)

    asyncio.run(tell())


def some(count: int) -> PackedLines:
    lines = PackedLines()
    for seq in range(count):
        lines.add(line(seq))
    return lines


async def pressed(app: Any, pilot: Pilot[Any], *keys: str) -> str:
    await pilot.press(*keys)
    await stand_still(pilot)
    return text_on(app)


def test_levels_are_chosen_with_one_key(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        shown = await pressed(app, pilot, "f")
        assert "6 of 9 alerts, warning and critical" in shown
        assert "alert 7" in shown
        assert "alert 6" not in shown
        shown = await pressed(app, pilot, "f")
        assert "3 of 9 alerts, critical" in shown
        assert "alert 7" not in shown
        shown = await pressed(app, pilot, "f")
        assert "9 alerts" in shown
        assert "alert 6" in shown

    play(tmp_path, some(9), story)


def test_words_leave_what_holds_them_and_e_shows_everything(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        assert "with: al_" in await pressed(app, pilot, "t", *"al")
        shown = await pressed(app, pilot, *"ert", "space", "8", "enter")
        assert "1 of 9 alerts, all levels, with 'alert 8'" in shown
        assert "alert 7" not in shown
        assert "alert 7" in await pressed(app, pilot, "e")

    play(tmp_path, some(9), story)


def test_a_search_after_an_abandoned_filter_searches(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        shown = await pressed(
            app, pilot, "t", "x", "escape", "slash", *"alert", "space", "3", "enter"
        )
        assert "alert 8" in shown  # nothing is filtered
        assert log.cursor == 3

    play(tmp_path, some(9), story)


def test_acknowledged_alerts_lose_their_mark(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        assert text_on(app).count("•") == 4
        shown = await pressed(app, pilot, "home", "a")
        assert shown.count("•") == 3
        assert log.cursor == 1
        assert (await pressed(app, pilot, "X")).count("•") == 0
        lines.add(line(4))
        log.show(lines)
        await stand_still(pilot)
        assert text_on(app).count("•") == 1

    lines = some(4)
    play(tmp_path, lines, story)


def test_enter_chooses_the_alert_under_the_cursor(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        await pressed(app, pilot, "up", "enter")
        assert app.chosen == [line(3)]

    play(tmp_path, some(5), story)


@pytest.mark.parametrize("words", ["[@click=app.quit]x[/]", "\x1b[31mred", "[/"])
def test_alerts_from_outside_are_shown_as_they_are(words: str, tmp_path: Path) -> None:
    lines = PackedLines()
    lines.add(line(1, what=words))
    lines.add(f"no event {words}")

    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        shown = text_on(app)
        assert "\x1b" not in shown
        assert shown.count(words.replace("\x1b", "\\e")) == 2

    play(tmp_path, lines, story)


def test_fifty_thousand_alerts_open_at_once_and_are_filtered_while_keys_are_heard(
    tmp_path: Path,
) -> None:
    lines = some(50_000)

    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        assert "alert 49999" in text_on(app)
        start = time.monotonic()
        shown = await pressed(app, pilot, "home")
        assert "alert 0" in shown
        assert time.monotonic() - start < 2.0
        await pilot.press("f", "f")
        deadline = time.monotonic() + 30.0
        while log._num_lines < 16_666:  # a third of them is critical
            assert time.monotonic() < deadline
            await pilot.pause()
        await stand_still(pilot)
        assert "16,666 of 50,000 alerts, critical" in text_on(app)

    start = time.monotonic()
    play(tmp_path, lines, story)
    assert time.monotonic() - start < 40.0


def test_an_alert_log_is_a_log() -> None:
    assert issubclass(AlertLog, LogView)


def test_where_a_filter_leaves_nothing_that_is_said(tmp_path: Path) -> None:
    async def story(app: Any, log: AlertLog, pilot: Pilot[Any]) -> None:
        log.see(Filter("critical"))
        assert "none like that" in await stand_still(pilot)
        log.see(Filter())
        assert "alert 0" in await stand_still(pilot)

    play(tmp_path, some(1), story)

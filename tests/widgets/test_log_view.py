"""A log of any length: only what is in view is read; moving, following, searching, copying."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from ecotui.widgets.log_view import LogView
from tests.screens.looks import text_on


class Numbered:
    """Lines that count how many of them were looked at."""

    def __init__(self, count: int, words: Callable[[int], str] = "line {}".format) -> None:
        self.count = count
        self.words = words
        self.looked_at = set[int]()

    def __len__(self) -> int:
        return self.count

    def line(self, index: int) -> str:
        self.looked_at.add(index)
        return self.words(index)


class Alone(App[None]):
    chosen: list[tuple[int, str]]

    def compose(self) -> ComposeResult:
        yield LogView("Log", "nothing yet")
        other = Static("another", markup=False)
        other.can_focus = True
        yield other

    def on_mount(self) -> None:
        self.chosen = []
        self.query_one(LogView).styles.height = 10

    def on_log_view_chosen(self, event: LogView.Chosen) -> None:
        self.chosen.append((event.index, event.line))


Story = Callable[[Alone, LogView, Pilot[None]], Coroutine[Any, Any, None]]


def play(story: Story, size: tuple[int, int] = (60, 14)) -> None:
    async def tell() -> None:
        app = Alone()
        async with app.run_test(size=size) as pilot:
            view = app.query_one(LogView)
            view.focus()
            await pilot.pause()
            await story(app, view, pilot)

    asyncio.run(tell())


def test_of_a_very_long_log_only_what_is_in_view_is_read() -> None:
    lines = Numbered(1_000_000)

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)
        await pilot.pause()
        assert "line 999999" in text_on(app)
        await pilot.press("home")
        await pilot.pause()
        assert "line 0" in text_on(app)
        await pilot.press("pagedown", "down", "down")
        assert view.cursor == 11
        assert len(lines.looked_at) < 60

    play(story)


def test_the_newest_line_stays_in_view_until_one_moves_away() -> None:
    lines = Numbered(100)

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)
        lines.count = 150
        view.show(lines)
        await pilot.pause()
        assert "line 149" in text_on(app)
        await pilot.press("up")
        lines.count = 200
        view.show(lines)
        await pilot.pause()
        assert view.cursor == 148
        assert "line 199" not in text_on(app)
        await pilot.press("G")
        assert view.cursor == 199
        lines.count = 201
        view.show(lines)
        assert view.cursor == 200

    play(story)


def test_the_line_under_the_cursor_is_shown_in_full_while_it_has_the_focus() -> None:
    lines = Numbered(3, lambda index: f"{index} " + "word " * 20 + f"end{index}")

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)
        await pilot.pause()
        assert "end2" in text_on(app)
        assert "end1" not in text_on(app)
        await pilot.press("k")
        await pilot.pause()
        assert "end1" in text_on(app)
        assert "end2" not in text_on(app)
        await pilot.press("tab")
        await pilot.pause()
        assert "end1" not in text_on(app)

    play(story, size=(50, 14))


def test_searching_goes_from_match_to_match_round_the_end() -> None:
    lines = Numbered(5_000, lambda index: "NEEDLE [/" if index in (7, 4_000) else f"line {index}")

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)
        await pilot.press("slash", *"needle [", "x", "backspace", "enter")
        await app.workers.wait_for_complete()
        assert view.cursor == 7
        await pilot.press("n")
        await app.workers.wait_for_complete()
        assert view.cursor == 4_000
        await pilot.press("n")
        await app.workers.wait_for_complete()
        assert view.cursor == 7
        await pilot.press("N")
        await app.workers.wait_for_complete()
        assert view.cursor == 4_000

    play(story)


def test_what_is_nowhere_is_said_and_the_cursor_stays() -> None:
    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(Numbered(2_000))
        await pilot.press("slash", *"zzz", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert view.cursor == 1_999
        assert "nowhere: zzz" in str(view.border_title)

    play(story)


def test_while_one_types_letters_are_no_keys_and_escape_leaves() -> None:
    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(Numbered(100))
        await pilot.press("slash", *"gkn")
        assert view.cursor == 99
        assert "/gkn_" in str(view.border_title)
        await pilot.press("escape", "g")
        assert view.cursor == 0

    play(story)


def test_a_shorter_log_is_another_one_and_an_empty_one_says_so() -> None:
    lines = Numbered(100)

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)
        await pilot.press("home")
        lines.count = 20
        view.show(lines)
        assert view.cursor == 19
        view.show(Numbered(0))
        await pilot.pause()
        assert "nothing yet" in text_on(app)
        await pilot.press("up", "down", "pageup", "enter", "n", "end")
        assert view.copy_text() == ""
        assert app.chosen == []

    play(story)


def test_enter_says_which_line_as_it_was_written() -> None:
    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(Numbered(3, lambda index: f"\x1b[31m{index}"))
        await pilot.press("up", "enter")
        await pilot.pause()
        assert app.chosen == [(1, "\x1b[31m1")]
        assert view.copy_text().splitlines()[0] == "\\e[31m0"

    play(story)


@pytest.mark.parametrize("foreign", ["[/", "[@click=app.quit]x[/]", "\x1b]0;t\x07", "\u202eabc"])
def test_foreign_text_is_shown_as_it_is(foreign: str) -> None:
    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(Numbered(2, lambda _: foreign))
        await pilot.press("slash", *foreign[:1], "enter")
        await pilot.pause()
        assert app.is_running
        shown = text_on(app)
        assert "\x1b" not in shown
        assert "\u202e" not in shown

    play(story)


def test_a_line_that_has_just_been_dropped_is_empty() -> None:
    class Dropping(Numbered):
        def line(self, index: int) -> str:
            raise IndexError(index)

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(Dropping(5))
        await pilot.pause()
        assert app.is_running

    play(story)


def test_nothing_is_drawn_again_where_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Numbered(5)

    async def story(app: Alone, view: LogView, pilot: Pilot[None]) -> None:
        view.show(lines)

        def complain(*_: object, **__: object) -> None:
            raise AssertionError("drawn again")

        with monkeypatch.context() as patched:
            patched.setattr(view, "refresh", complain)
            view.show(lines)
            lines.count = 6
            with pytest.raises(AssertionError):
                view.show(lines)

    play(story)

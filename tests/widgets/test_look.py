"""Looks: ASCII cell for cell, no colours where there are none to be, and what was seen."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.color import Color
from textual.widgets import Static

from ecotui.widgets import bar as bars
from ecotui.widgets import marks
from ecotui.widgets.bar import Bar, bar
from ecotui.widgets.look import AsciiOnly, Look, in_ascii, look_of
from ecotui.widgets.seen import Seen

DRAWN = st.characters(min_codepoint=0x2190, max_codepoint=0x2BFF)


@given(st.text(st.one_of(DRAWN, st.characters(codec="utf-8")), max_size=30))
def test_every_drawn_character_gives_way_to_ascii_of_the_same_width(text: str) -> None:
    plain = in_ascii(text)
    assert cell_len(plain) == cell_len(text) or any(cell_len(each) == 0 for each in text)
    assert not [each for each in plain if 0x2500 <= ord(each) <= 0x28FF]


def test_letters_of_every_script_stay() -> None:
    for name in ("été", "日本語", "Ελλάδα", "naïve file.jpg"):
        assert in_ascii(name) == name


def test_every_mark_and_bar_is_told_apart_in_ascii_too() -> None:
    for table in (marks.VERDICTS, marks.SEVERITIES, marks.STATUSES):
        symbols = [in_ascii(mark.symbol) for mark in table.values()]
        assert all(symbol.isascii() and len(symbol) == 1 for symbol in symbols)
        assert len(set(symbols)) == len(symbols)
    assert in_ascii(bars.DONE) != in_ascii(bars.LEFT)
    assert in_ascii("│╭╮╰╯├┼") == "|++++++"
    assert in_ascii("━") != in_ascii("─")
    assert [in_ascii(each) for each in "⠀⠁⠒⣤⣿"] == [" ", ".", ".", ":", "#"]


def test_the_filter_keeps_styles_and_control() -> None:
    style = Style(bold=True)
    (out,) = AsciiOnly().apply([Segment("─✓", style, None)], Color(0, 0, 0))
    assert out == Segment("-+", style, None)


def test_a_widget_finds_the_look_of_its_app_or_the_usual_one() -> None:
    class Plain(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("", markup=False)

    class Chosen(Plain):
        look = Look(glyphs="ascii")

    async def look(app: App[None]) -> Look:
        async with app.run_test():
            return look_of(app.query_one(Static))

    assert asyncio.run(look(Plain())) == Look()
    assert asyncio.run(look(Chosen())).is_ascii


@given(st.floats(0, 1), st.integers(0, 200))
def test_a_bar_fills_its_room_and_grows_with_the_share(share: float, width: int) -> None:
    shown = bar(share, width).plain
    assert len(shown) == max(5, width)
    assert shown.count(bars.DONE) <= share * max(0, width - 5)
    assert f"{int(share * 100)}%" in shown
    assert bars.DONE not in bar(None, width).plain


def test_a_bar_is_drawn_anew_only_where_it_changed() -> None:
    drawn = []

    class Counted(Bar):
        def _draw(self) -> None:
            drawn.append(self._shown)
            super()._draw()

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield Counted()

    async def story() -> None:
        app = Alone()
        async with app.run_test(size=(40, 3)) as pilot:
            await pilot.pause()
            drawn.clear()
            for done in (1, 1, 2, 2):
                app.query_one(Counted).show(done, 4)
            assert drawn == [(1, 4), (2, 4)]

    asyncio.run(story())


def test_seen_tells_by_identity_what_is_new() -> None:
    seen, first = Seen(), tuple(range(2))
    assert seen.are_new(first, 3, "x", None)
    assert not seen.are_new(first, 3, "x", None)
    assert seen.are_new(tuple(range(2)), 3, "x", None)
    assert seen.are_new(first, 3, "y", None)
    assert seen.are_new(first, 3)
    assert not seen.are_new(first, 3)
    assert seen.are_new(first, True)
    seen.forget()
    assert seen.are_new(first, True)

"""Dialogs: keyboard only, Esc for no answer, the safe answer first, judged as one types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.screen import ModalScreen

from ecotui.screens.dialogs.choice import Choice, ChoiceScreen
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.dialogs.keys import HelpScreen, KeyGroup, KeyRow
from ecotui.screens.dialogs.leave import LeaveScreen
from ecotui.screens.dialogs.value import ValueScreen, epochs_fault, learning_rate_fault
from ecotui.shell import Shell
from ecotui.widgets.look import in_ascii
from tests.screens.looks import emphasis_on, text_on

HOSTILE = "[@click=app.quit]x[/] \x1b[31m"


def answer_of(
    dialog: ModalScreen[Any],
    *keys: str,
    look: Callable[[App[Any]], None] | None = None,
    size: tuple[int, int] = (80, 24),
) -> list[Any]:
    """Return what a dialog closed with once these keys were pressed; nothing where it is open."""
    found: list[Any] = []

    async def tell() -> None:
        app = App[None]()
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            await app.push_screen(dialog, found.append)
            await pilot.pause()
            for key in keys:
                await pilot.press(key)
            await pilot.pause()
            if look is not None:
                look(app)

    asyncio.run(tell())
    return found


def confirm() -> ConfirmScreen:
    return ConfirmScreen("Delete", [f"run {HOSTILE} goes.", "For good."], yes=f"Delete {HOSTILE}")


def rate(value: str = "0.001") -> ValueScreen:
    return ValueScreen("Learning rate", f"now {HOSTILE}", value, learning_rate_fault)


def theme(chosen: str = "") -> ChoiceScreen:
    names = ("dark", "light", "high contrast", HOSTILE)
    return ChoiceScreen("Theme", [Choice(each, each, "remark") for each in names], chosen=chosen)


@pytest.mark.parametrize("make", [confirm, rate, theme])
def test_escape_is_no_answer(make: Callable[[], ModalScreen[Any]]) -> None:
    assert answer_of(make(), "escape") == [None]


@pytest.mark.parametrize("make", [confirm, rate, theme, LeaveScreen])
@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_foreign_text_is_shown_as_it_is(
    make: Callable[[], ModalScreen[Any]], size: tuple[int, int]
) -> None:
    def look(app: App[Any]) -> None:
        shown = text_on(app)
        assert "\x1b" not in shown
        assert app.is_running
        if make is not LeaveScreen and size[0] == 80:
            assert "[@click=app.quit]x[/]" in shown
            assert "\\e[31m" in shown

    assert answer_of(make(), look=look, size=size) == []


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("enter",), False),
        (("n",), False),
        (("y",), True),
        (("tab", "enter"), True),
        (("down", "enter"), True),
        (("down", "up", "enter"), False),
    ],
)
def test_a_confirmation_says_no_unless_it_is_told_otherwise(
    keys: tuple[str, ...], answer: bool
) -> None:
    assert answer_of(confirm(), *keys) == [answer]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("enter",), "detach"),
        (("l",), "detach"),
        (("s",), "stop"),
        (("down", "enter"), "stop"),
        (("tab", "tab", "enter"), "cancel"),
        (("escape",), None),
    ],
)
def test_leaving_leaves_the_run_running_unless_told_otherwise(
    keys: tuple[str, ...], answer: str | None
) -> None:
    assert answer_of(LeaveScreen(), *keys) == [answer]


def test_who_only_watches_can_not_stop_it_while_leaving() -> None:
    assert answer_of(LeaveScreen(can_stop=False), "s") == ["cancel"]
    answer_of(LeaveScreen(can_stop=False), look=lambda app: _lacks(app, "Stop it"))


def _lacks(app: App[Any], words: str) -> None:
    assert words not in text_on(app)


def test_a_value_is_judged_as_it_is_typed_and_taken_only_where_it_is_right() -> None:
    def looks_wrong(app: App[Any]) -> None:
        assert "✗ a number such as 0.0003" in text_on(app)

    assert answer_of(rate(""), *"abc", "enter", look=looks_wrong) == []
    assert answer_of(rate(""), *" 3e-4 ", "enter") == ["3e-4"]
    assert answer_of(rate("0.001"), "enter") == ["0.001"]
    answer_of(rate("0.001"), look=lambda app: _has(app, "✓ fine"))


def _has(app: App[Any], words: str) -> None:
    assert words in text_on(app)


@given(st.text(max_size=30))
def test_no_learning_rate_and_no_epochs_get_through_that_the_engine_would_not_take(
    text: str,
) -> None:
    from ecotui.commands import ExtendRun, SetLearningRate

    if not learning_rate_fault(text):
        SetLearningRate(learning_rate=float(text))
    if not epochs_fault(3)(text):
        assert ExtendRun(epochs=int(text)).epochs > 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "whole number"),
        ("3", "more than the 3 done"),
        ("100001", "at most 100,000"),
        ("4", ""),
    ],
)
def test_epochs_are_judged_by_what_is_done(text: str, words: str) -> None:
    assert words in epochs_fault(3)(text)
    assert bool(epochs_fault(3)(text)) == bool(words)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("enter",), "dark"),
        (("down", "enter"), "light"),
        ((*"con", "enter"), "high contrast"),
        ((*"HIGH con", "enter"), "high contrast"),
        ((*"zzz", "enter"), None),
        ((*"zzz", "backspace", "backspace", "backspace", "enter"), "dark"),
    ],
)
def test_a_choice_is_found_by_typing_and_taken_with_enter(
    keys: tuple[str, ...], answer: str | None
) -> None:
    assert answer_of(theme(), *keys) == ([answer] if answer else [])


def test_the_cursor_begins_on_what_is_in_effect() -> None:
    assert answer_of(theme("light"), "enter") == ["light"]
    assert answer_of(theme("gone"), "enter") == ["dark"]
    assert answer_of(ChoiceScreen("None", []), "enter", "escape") == [None]


def test_without_colours_the_cursor_is_still_to_be_seen(tmp_path: Any) -> None:
    from ecotui.app_settings import AppSettings

    async def tell() -> None:
        app = Shell(tmp_path, AppSettings(theme="mono"))
        async with app.run_test() as pilot:
            await app.push_screen(theme("light"))
            await pilot.pause()
            assert "light" in emphasis_on(app)
            assert "dark" not in emphasis_on(app)

    asyncio.run(tell())


def test_keys_that_do_nothing_now_are_told_apart_by_words() -> None:
    groups = [KeyGroup("Here", (KeyRow("s", "stops"), KeyRow("r", "resumes", is_possible=False)))]

    def look(app: App[Any]) -> None:
        shown = text_on(app)
        assert "s  stops" in shown
        assert "stops (not now)" not in shown
        assert "r  resumes (not now)" in shown
        assert "What it is" in shown

    answer_of(HelpScreen("Keys", groups, told="What it is"), look=look)


def test_dialogs_are_drawn_in_ascii_too(tmp_path: Any) -> None:
    from ecotui.app_settings import AppSettings

    async def tell() -> None:
        app = Shell(tmp_path, AppSettings(is_ascii=True))
        async with app.run_test() as pilot:
            for dialog in (
                ConfirmScreen("Delete", ["a run"], yes="Delete"),
                ChoiceScreen("Choose", [Choice("a", "a")]),
                ValueScreen("Rate", "a rate", "0", learning_rate_fault),
                LeaveScreen(),
            ):
                await app.push_screen(dialog)
                await pilot.pause()
                assert text_on(app).isascii()
                assert in_ascii(text_on(app)) == text_on(app)

    asyncio.run(tell())

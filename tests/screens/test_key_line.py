"""The keys on the last line: whole words, the weightiest first, and a mark where there are more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from textual.binding import Binding

from ecotui.actions.table import ACTIONS
from ecotui.widgets.key_line import HELP, MORE, Key, KeyLine, fitting
from tests.screens.stories import play

Open = Callable[..., Any]


def key(id: str) -> Key:  # noqa: A002
    action = next(each for each in ACTIONS if each.id == id)
    binding = Binding(action.keys.partition(",")[0], action.does, action.word, id=id)
    return Key(((binding, True, ""),), ("?" if id == HELP else binding.key,), action.word)


def test_all_are_kept_where_there_is_room() -> None:
    keys = [key(HELP), key("run.stop"), key("app.quit")]
    assert fitting(keys, sum(each.cells for each in keys)) == keys


def test_what_gives_way_first_is_left_out_and_the_help_stands_last_as_more() -> None:
    keys = [key(HELP), key("run.stop"), key("app.detach"), key("app.home"), key("app.quit")]
    kept = fitting(keys, sum(each.cells for each in keys) - key(HELP).cells - 1)
    assert [each.id for each in kept] == ["run.stop", "app.home", "app.quit", HELP]
    assert kept[-1].word == MORE
    kept = fitting(keys, 30)
    assert [each.id for each in kept] == ["run.stop", "app.quit", HELP]


@pytest.mark.parametrize("width", [60, 72, 80, 100, 160])
@pytest.mark.parametrize("screen", ["1", "2", "3"])
def test_no_key_is_cut_and_those_left_out_are_marked(
    screen: str, width: int, open_app: Open
) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("epoch_finished")
        await here.settle()
        await here.press(screen)
        await here.settle()
        last = here.text().splitlines()[-1]
        line = here.app.screen.query_one(KeyLine)
        assert 0 < line.render().cell_length <= width
        assert "s Stop" in last
        assert "q Quit" in last
        has_all = "Detach" in last and "Checkpoint" in last
        assert ("? more" in last) != has_all
        assert ("? Keys" in last) == has_all

    play(story, open_app("full_run", size=(width, 24)))


def test_the_keys_follow_the_width_of_the_terminal(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        resize = partial(here.pilot.resize_terminal, height=24)
        for width, mark in ((160, "? Keys"), (60, "? more"), (160, "? Keys")):
            await resize(width)
            await here.settle()
            assert mark in here.text().splitlines()[-1]

    play(story, open_app("full_run"))


def test_a_click_on_a_key_presses_it_and_one_beside_them_does_nothing(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        last = here.text().splitlines()[-1]
        await here.pilot.click(KeyLine, offset=(159, 0))
        assert len(here.app.screen_stack) == 1
        await here.pilot.click(KeyLine, offset=(last.index("Keys"), 0))
        await here.settle()
        assert len(here.app.screen_stack) == 2

    play(story, open_app("full_run", size=(160, 24)))


def test_the_key_under_the_mouse_is_marked_and_says_what_it_does(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.settle()
        line = here.app.screen.query_one(KeyLine)
        plain = [span.style for span in line.render().spans]
        place = here.text().splitlines()[-1].index("Stop")
        await here.pilot.hover(KeyLine, offset=(place, 0))
        marked = [span.style for span in line.render().spans]
        assert sum(a != b for a, b in zip(plain, marked, strict=True)) == 2
        assert "stop" in str(line.tooltip).lower()
        await here.pilot.hover(KeyLine, offset=(159, 0))
        assert [span.style for span in line.render().spans] == plain
        assert line.tooltip is None

    play(story, open_app("full_run", size=(160, 24)))

"""The confusion matrix: legible with few and many classes, scrolled, and told in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.app import ComposeResult

from ecotui.app_settings import AppSettings
from ecotui.evaluation_file import Confusion
from ecotui.shell import Shell
from ecotui.widgets.confusion_panel import (
    ConfusionMatrix,
    ConfusionPanel,
    column_heads,
    mistake_lines,
)
from tests.drawing import stand_still

HOSTILE = "[@click=app.quit]x[/]\x1b[31m"


def of(size: int, *, right: int = 200) -> Confusion:
    """Return a matrix in which each class is taken for the next one as often as its number."""
    rows = tuple(
        tuple(
            right if truth == taken else truth if taken == (truth + 1) % size else 0
            for taken in range(size)
        )
        for truth in range(size)
    )
    return Confusion(tuple(f"class {at}" for at in range(size)), rows)


class Alone(Shell):
    def compose(self) -> ComposeResult:
        yield ConfusionPanel()


def drawn(
    tmp_path: Path,
    confusion: Confusion | None,
    *keys: str,
    size: tuple[int, int] = (80, 24),
    is_ascii: bool = False,
) -> str:
    async def draw() -> str:
        app = Alone(tmp_path, AppSettings(theme="mono", is_ascii=is_ascii))
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            app.query_one(ConfusionPanel).show(confusion, "no validation yet")
            app.query_one(ConfusionMatrix).focus()
            await stand_still(pilot)
            for key in keys:
                await pilot.press(key)
            return await stand_still(pilot)

    return asyncio.run(draw())


def rows_of(shown: str) -> list[list[str]]:
    """Return the cells of the lines that begin with a number."""
    lines = [line.split() for line in shown.splitlines()]
    return [line for line in lines if line and line[0].isdecimal() and "class" in line]


def test_ten_classes_fit_eighty_columns_whole(tmp_path: Path) -> None:
    shown = drawn(tmp_path, of(10))
    rows = rows_of(shown)
    assert len(rows) == 10
    assert rows[3] == ["4", "class", "3", "·", "·", "·", "200", "3", "·", "·", "·", "·", "·"]
    assert " 1   2   3   4   5   6   7   8   9  10" in shown


def test_thirty_classes_can_be_scrolled_with_names_and_numbers_in_view(tmp_path: Path) -> None:
    shown = drawn(tmp_path, of(30), "end")
    assert [row[0] for row in rows_of(shown)][-1] == "30"
    assert rows_of(shown)[-1][:3] == ["30", "class", "29"]
    moved = drawn(tmp_path, of(30), *["right"] * 40)
    heads = moved.splitlines()[1].split()
    assert "30" in heads
    assert heads[0] != "1"
    assert rows_of(moved)[0][:3] == ["1", "class", "0"]


def test_thirty_classes_fit_a_wide_terminal_whole(tmp_path: Path) -> None:
    rows = rows_of(drawn(tmp_path, of(30), size=(160, 50)))
    assert len(rows) == 30
    assert all(len(row) == 33 for row in rows)


def test_u_changes_between_images_and_percent_of_the_row(tmp_path: Path) -> None:
    whole = Confusion(("a class", "b class"), ((75, 25), (0, 8)))
    assert rows_of(drawn(tmp_path, whole))[0][-2:] == ["75", "25"]
    assert rows_of(drawn(tmp_path, whole, "u"))[1][-2:] == ["·", "100"]
    assert "class, percent (u)" in drawn(tmp_path, whole, "u")
    assert "class, images (u)" in drawn(tmp_path, whole, "u", "u")


def test_the_worst_stands_in_words(tmp_path: Path) -> None:
    assert mistake_lines(of(3), 1) == ["class 2 taken for class 0: 2 of 202 (1.0%)"]
    assert "class 9 taken for class 0: 9 of 209 (4.3%)" in drawn(tmp_path, of(10))
    assert "no image was mistaken" in drawn(tmp_path, Confusion(("a", "b"), ((1, 0), (0, 1))))


@pytest.mark.parametrize("is_ascii", [False, True])
def test_names_from_outside_are_shown_as_they_are(tmp_path: Path, is_ascii: bool) -> None:
    found = Confusion((HOSTILE, "b"), ((1, 2), (0, 1)))
    shown = drawn(tmp_path, found, is_ascii=is_ascii)
    assert "\x1b" not in shown
    assert "[@click=app.quit]x[/]" in shown
    assert shown.isascii() == is_ascii


def test_without_a_matrix_it_says_why(tmp_path: Path) -> None:
    shown = drawn(tmp_path, None, "u", "right", "end")
    assert "no validation yet" in shown
    assert "Most often" not in shown


def test_the_whole_matrix_can_be_copied() -> None:
    matrix = ConfusionMatrix()
    matrix.show(of(2))
    assert matrix.copy_text().splitlines() == [
        "true \\ taken for\tclass 0\tclass 1",
        "class 0\t200\t0",
        "class 1\t1\t200",
    ]


def test_classes_called_by_short_numbers_head_the_columns_themselves(tmp_path: Path) -> None:
    digits = Confusion(tuple(map(str, range(10))), of(10).counts)
    shown = drawn(tmp_path, digits)
    lines = [line.split() for line in shown.splitlines()]
    assert [str(number) for number in range(10)] in lines
    assert ["3", "·", "·", "·", "200", "3", "·", "·", "·", "·", "·"] in lines


def test_numbers_of_classes_are_marked_where_a_class_is_called_by_a_number() -> None:
    assert column_heads(("2019", "glass")) == ("#1", "#2")
    assert column_heads(("glass", "metal")) == ("1", "2")
    assert column_heads(("cat", "dog")) == ("cat", "dog")


def test_numbers_that_are_marked_stay_in_line_with_their_rows(tmp_path: Path) -> None:
    years = Confusion(tuple(str(2_000 + at) for at in range(12)), of(12).counts)
    shown = [line.split() for line in drawn(tmp_path, years).splitlines()]
    assert [f"#{number}" for number in range(1, 13)] in shown
    assert ["#3", "2002", "·", "·", "200", "2", *["·"] * 8] in shown

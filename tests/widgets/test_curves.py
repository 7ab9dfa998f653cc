"""Charts of a run: what the keys look at, what is drawn in few cells, and in ASCII."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import ComposeResult

from ecotui.app_settings import AppSettings
from ecotui.series import Series
from ecotui.shell import Shell
from ecotui.state import RunState
from ecotui.widgets.curves import Curves
from ecotui.widgets.metric_chart import SMOOTHINGS, WHOLE, ChartView, MetricChart, smoothed
from tests.drawing import stand_still

TRAIN = Series(tuple((step, 2.0 / step) for step in range(1, 101)))
STATE = RunState(
    train_loss=TRAIN,
    val_loss=Series(((50, 0.9), (100, 0.5))),
    train_accuracy=Series(((1, 0.1), (100, 0.8))),
    val_accuracy=Series(((50, 0.6), (100, 0.7))),
    macro_f1=Series(((50, 0.55), (100, 0.65))),
    learning_rates=Series(((1, 1e-3), (100, 1e-5))),
)


class Alone(Shell):
    def compose(self) -> ComposeResult:
        yield Curves()


def drawn(
    tmp_path: Path,
    *keys: str,
    size: tuple[int, int] = (80, 24),
    settings: AppSettings | None = None,
    state: RunState = STATE,
) -> str:
    async def draw() -> str:
        app = Alone(tmp_path, settings or AppSettings())
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            curves = app.query_one(Curves)
            curves.show(state)
            curves.focus()
            await stand_still(pilot)
            for key in keys:
                await pilot.press(key)
            return await stand_still(pilot)

    return asyncio.run(draw())


def test_four_figures_are_drawn_with_their_newest_values(tmp_path: Path) -> None:
    shown = drawn(tmp_path)
    assert "Loss  ⠒ train 0.020  o val 0.500" in shown
    assert "Accuracy  ⠒ train 80.0%  o val 70.0%" in shown
    assert "Macro F1  o val 0.650" in shown
    assert "Learning rate  ⠒ train 1.00e-05" in shown


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ((), "whole, following, linear, raw"),
        (("plus",), "49 steps, following, linear, raw"),
        (("plus", "plus", "minus"), "49 steps, following"),
        (("plus", "left"), "49 steps, to step 76,"),
        (("plus", "left", "right"), "49 steps, following"),
        (("plus", "left", "f"), "49 steps, following"),
        (("plus", "left", "0"), "whole, following"),
        (("x",), "following, log, raw"),
        (("w",), "linear, smoothed 0.6"),
        (("w", "w", "w", "w"), "linear, raw"),
    ],
)
def test_each_key_says_what_is_looked_at(keys: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert words in drawn(tmp_path, *keys)


def test_zooming_draws_the_steps_in_view_alone(tmp_path: Path) -> None:
    lines = drawn(tmp_path, "plus").splitlines()
    assert [line for line in lines if "step 51" in line and "100" in line]
    loss = "\n".join(line[:40] for line in lines[1:10])
    assert "0.900" not in loss  # of step 50, where the validation was
    assert "0.500" in loss


def test_a_log_scale_names_real_figures_and_leaves_shares_alone(tmp_path: Path) -> None:
    shown = drawn(tmp_path, "x")
    assert shown.count("log 1") == 3  # loss, macro F1 and learning rate
    assert "2.000" in shown
    assert "80.0%" in shown


def test_labels_keep_to_their_room_however_large_a_figure_is(tmp_path: Path) -> None:
    huge = replace(STATE, train_loss=Series(((1, 123_456_789.0), (100, 1e-9))))
    lines = drawn(tmp_path, state=huge).splitlines()
    assert lines[1].split()[0] == "1.2e+08"
    assert any("1.0e-03" in line[40:50] for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_a_figure_that_is_zero_stays_on_a_linear_scale(tmp_path: Path) -> None:
    flat = replace(STATE, train_loss=Series(((1, 0.0), (100, 1.0))))
    assert "log 1" in drawn(tmp_path, "x", state=STATE)[:900]
    shown = drawn(tmp_path, "x", "v", state=flat)
    assert "log 1" not in shown
    assert "step 1" in shown


def test_v_shows_one_chart_after_the_other_and_then_all(tmp_path: Path) -> None:
    titles = ("Loss", "Accuracy", "Macro F1", "Learning rate")
    for count, expected in enumerate(((0,), (1,), (2,), (3,), (0, 1, 2, 3)), start=1):
        shown = drawn(tmp_path, *"v" * count)
        assert [at for at, title in enumerate(titles) if title in shown] == list(expected)


def test_little_room_shows_what_can_be_read(tmp_path: Path) -> None:
    low = drawn(tmp_path, size=(80, 9))
    assert "Loss" in low
    assert "Accuracy" in low
    assert "Macro F1" not in low
    small = drawn(tmp_path, size=(40, 8))
    assert "Loss" in small
    assert "Accuracy" not in small


def test_in_ascii_training_and_validation_are_told_apart(tmp_path: Path) -> None:
    shown = drawn(tmp_path, settings=AppSettings(theme="mono", is_ascii=True))
    assert shown.isascii()
    assert "Loss  . train 0.020  o val 0.500" in shown
    plot = "".join(line[9:38] for line in shown.splitlines()[1:9])
    assert plot.count("o") == 2
    assert plot.count(".") >= 8
    assert not set(plot) - set(". o0123456789step")


def test_before_anything_was_measured_it_says_so(tmp_path: Path) -> None:
    assert drawn(tmp_path, "plus", "left", "x", "w", state=RunState()).count("nothing") == 4


def test_every_point_can_be_copied() -> None:
    curves = Curves()
    curves.show(STATE)
    lines = curves.copy_text().splitlines()
    assert lines[0].split("\t") == ["figure", "measured in", "step", "value"]
    assert "loss\tvalidation\t50\t0.9" in lines
    assert len(lines) == 1 + 100 + 2 + 2 + 2 + 2 + 2


def test_an_average_begins_with_what_was_measured_and_stays_within_it() -> None:
    points = tuple((step, float(step % 2)) for step in range(1, 41))
    found = smoothed(points, 0.9)
    assert found[0] == points[0]
    assert [step for step, _ in found] == [step for step, _ in points]
    assert 0.4 < found[-1][1] < 0.6
    assert smoothed(points, 0.0) == points


@given(
    zoom=st.integers(0, 8),
    end=st.none() | st.integers(-10, 10_000),
    first=st.integers(0, 500),
    length=st.integers(0, 9_000),
)
def test_what_is_looked_at_lies_within_the_run(
    zoom: int, end: int | None, first: int, length: int
) -> None:
    last = first + length
    view = ChartView(zoom, end)
    for seen in (view, view.moved(-1, first, last), view.moved(1, first, last)):
        start, stop = seen.range_of(first, last)
        assert first <= start <= stop <= max(last, first)


def test_looking_later_often_enough_follows_again() -> None:
    view: Any = WHOLE.zoomed(1).zoomed(1).zoomed(1)
    early = view
    for _ in range(40):
        early = early.moved(-1, 0, 1000)
    assert early.range_of(0, 1000) == (0, 125)
    for _ in range(40):
        early = early.moved(1, 0, 1000)
    assert early == view
    assert replace(view, smoothing=SMOOTHINGS[-1]).smoother().smoothing == 0.0
    assert view.zoomed(-9) == WHOLE


def test_a_chart_that_is_shown_the_same_draws_nothing_anew() -> None:
    chart = MetricChart("Loss", is_fraction=False)
    drawings: list[int] = []
    chart.refresh = lambda *_, **__: drawings.append(1) or chart  # type: ignore[method-assign,func-returns-value]
    chart.show(STATE.train_loss, STATE.val_loss)
    assert drawings
    drawings.clear()
    chart.show(STATE.train_loss, STATE.val_loss)
    assert not drawings


def test_each_run_begins_with_whole_charts(tmp_path: Path) -> None:
    async def look() -> list[str]:
        app = Alone(tmp_path, AppSettings())
        app.animation_level = "none"
        async with app.run_test(size=(80, 24)) as pilot:
            curves = app.query_one(Curves)
            seen = []
            for run_id in ("one", "one", "another"):
                curves.show(replace(STATE, run_id=run_id))
                curves.focus()
                seen.append(await stand_still(pilot))
                await pilot.press(*([] if seen[1:] else ["+", "x", "v"]))
            return seen

    first, same, other = asyncio.run(look())
    assert "whole, following, linear" in first
    assert "whole" not in same
    assert "log" in same
    assert other == first

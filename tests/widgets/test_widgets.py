"""Widgets alone: one way in, no truth of their own, nothing drawn twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from ecotui.events import (
    LAYER_NAMES,
    CheckpointVerified,
    CheckReported,
    ClassScore,
    Layer,
    ValidationFinished,
)
from ecotui.layers import at_rest
from ecotui.narration import epochs_done, progress
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.state import RunState, StageProgress, fold
from ecotui.widgets.checkpoint_table import CheckpointTable
from ecotui.widgets.class_table import ClassTable
from ecotui.widgets.finding_rows import CheckRow
from ecotui.widgets.finding_text import detail
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.key_figures import KeyFigures, rate_words
from ecotui.widgets.stage_bars import StageBar, StageBars
from ecotui.widgets.summary_panel import SummaryPanel
from ecotui.widgets.verdict_list import VerdictList
from tests.drawing import stand_still


def drawn(widget: Widget, show: Callable[[Any], None], size: tuple[int, int] = (80, 24)) -> str:
    """Return what a widget draws, alone in an app."""

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield widget

    async def draw() -> str:
        app = Alone()
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            show(widget)
            return await stand_still(pilot)

    return asyncio.run(draw())


@pytest.fixture
def state(recordings: Path) -> RunState:
    replay = Replay.of(recordings / "full_run.jsonl", RunDir(Path("full"))).go_on()
    return reduce(fold, (event for _, event in replay.read()), RunState())


def test_the_strip_names_seven_layers_with_word_and_count(state: RunState) -> None:
    lines = drawn(GuardStrip(), lambda strip: strip.show(state.layers)).splitlines()
    assert lines[0].startswith("1 environment        ! acted 1")
    assert lines[1].startswith("2 transforms         ✓ passed")
    assert lines[3].startswith("4 batch              ! acted 2")
    at_first = drawn(GuardStrip(), lambda strip: strip.show(at_rest()))
    assert at_first.count("· idle") == 7


def test_a_low_strip_stands_in_columns_and_loses_no_layer(state: RunState) -> None:
    low = GuardStrip()
    low.styles.height = 4
    shown = drawn(low, lambda strip: strip.show(state.layers), (60, 4))
    for number, name in LAYER_NAMES.items():
        assert f"{number} {name[:12]}" in shown
    assert shown.count("acted") == 5


def test_the_cursor_of_the_strip_goes_to_each_layer_and_says_which(state: RunState) -> None:
    chosen = list[Layer]()

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield GuardStrip()

        def on_guard_strip_chosen(self, event: GuardStrip.Chosen) -> None:
            chosen.append(event.layer)

    async def tell() -> None:
        async with Alone().run_test() as pilot:
            strip = pilot.app.query_one(GuardStrip)
            strip.show(state.layers)
            strip.focus()
            for _ in range(8):
                await pilot.press("enter", "down")
            await pilot.press("k", "k", "enter")
            await pilot.click(GuardStrip, offset=(3, 1))
            await pilot.press("enter")

    asyncio.run(tell())
    assert chosen == [1, 2, 3, 4, 5, 6, 7, 7, 5, 2]


def test_the_figures_that_matter_stand_on_two_lines(state: RunState) -> None:
    lines = drawn(KeyFigures(), lambda figures: figures.show(state)).splitlines()
    scores, standing = lines[0].split(), lines[1]
    assert scores[:4] == ["loss", "0.570", "test", "0.700"]
    assert "accuracy 48.8% test 70.0%" in lines[0]
    assert "★ best 72.5% epoch 2" in standing
    assert "! 3 warning ✓ 3 good" in standing
    assert "nothing to tell yet" in drawn(KeyFigures(), lambda figures: figures.show(RunState()))


@given(st.floats(1e-9, 1.0))
def test_a_learning_rate_takes_six_cells_and_is_true_to_two_digits(rate: float) -> None:
    assert len(rate_words(rate)) <= 6
    assert float(rate_words(rate)) == pytest.approx(rate, rel=0.051)


def test_the_bar_of_the_training_tells_its_steps(state: RunState) -> None:
    at_step = replace(
        state_without_end(state), stages=(StageProgress("train", total=72, unit="steps"),), step=24
    )
    shown = drawn(StageBar(), lambda bar: bar.show_stage(at_step))
    assert "24 of 72 steps" in shown
    assert "33%" in shown


def test_the_table_of_checkpoints_has_the_best_on_top(state: RunState) -> None:
    lines = drawn(CheckpointTable(), lambda table: table.show(state)).splitlines()
    assert "★ best, accuracy 72.50%" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["72", "48"]


def test_a_checkpoint_that_was_read_back_says_so(state: RunState) -> None:
    saved = state.checkpoints[-1]
    known = fold(state_without_end(state), CheckpointVerified(path=saved.path, ok=True, what=""))
    rows = drawn(CheckpointTable(), lambda table: table.show(known)).splitlines()
    of_it = [row for row in rows if row.split()[:1] == [f"{saved.step:,}"]]
    assert [row for row in rows if "✓ read back" in row] == [
        row for row in of_it if saved.reason in row.split()
    ]


def state_without_end(state: RunState) -> RunState:
    return replace(state, ending=None, phase="running")


def test_classes_stand_with_the_weakest_first() -> None:
    scores = tuple(
        ClassScore(name=name, precision=f1, recall=f1, f1=f1, support=10)
        for name, f1 in (("good", 0.9), ("[/", 0.1), ("fair", 0.5))
    )
    found = ValidationFinished(
        split="val",
        epoch=1,
        step=1,
        num_images=30,
        loss=1.0,
        accuracy=0.5,
        accuracy_top5=1.0,
        macro_f1=0.5,
        per_class=scores,
        num_classes=3,
        file="evaluations/epoch-000001.json",
        seconds=1.0,
    )
    lines = drawn(ClassTable(), lambda table: table.show(found)).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["[/", "fair", "good"]


def test_a_failed_check_says_what_was_expected_and_what_to_do() -> None:
    check = CheckReported(
        check="disk",
        layer=1,
        verdict="fail",
        what="no room [/left",
        expected="2 GB",
        remedy="free [@click=app.quit]some[/]",
    )
    row = CheckRow("disk", check)
    shown = drawn(VerdictList("Checks", "none"), lambda verdicts: verdicts.show((row,)))
    assert "✗ fail  no room [/left" in shown
    told = drawn(Static(), lambda static: static.update(detail(row)))
    assert "✗ fail: no room [/left" in told
    assert "expected: 2 GB" in told
    assert "to fix: free [@click=app.quit]some[/]" in told


def test_the_summary_is_out_of_sight_until_there_is_one() -> None:
    panel = SummaryPanel()
    assert not panel.display
    shown = drawn(panel, lambda each: each.show(("training completed", "[/class]")))
    assert "training completed" in shown
    assert "[/class]" in shown


def test_what_did_not_change_is_not_drawn_again(
    state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, figures = CheckpointTable(), KeyFigures()
    drawn(table, lambda each: each.show(state))
    drawn(figures, lambda each: each.show(state))

    def complain(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(table, "clear", complain)
    monkeypatch.setattr(figures, "update", complain)
    table.show(state)
    figures.show(state)
    with pytest.raises(AssertionError):
        figures.show(RunState())


@pytest.fixture
def limited(state: RunState) -> RunState:
    """Return a run of 20 epochs of 24 steps that a limit of 60 steps ends, at step 52 of it."""
    assert state.facts is not None
    facts = state.facts.model_copy(update={"epochs": 20, "max_steps": 60, "steps_per_epoch": 24})
    return replace(
        state, facts=facts, epochs=20, epoch=3, step=52, step_in_epoch=4, epoch_steps=24,
        pace_start=(2, 1_000.0), heard_at=1_500.0, ending=None, phase="running",
    )  # fmt: skip


def test_a_step_limit_before_the_last_epoch_is_shown_in_bars_and_words(limited: RunState) -> None:
    shown = drawn(StageBars(), lambda bars: bars.show(limited))
    assert "Epoch 3/3" in shown
    assert "Step 4/12" in shown
    assert "left, ends at step 60" in shown
    assert "Epoch 3/3, step 4/12".lower() in progress(limited)
    assert progress(limited).endswith("ends at step 60")
    done, total = epochs_done(limited)
    assert done / total == pytest.approx(52 / 60)


def test_a_step_limit_that_ends_nothing_is_not_shown(limited: RunState) -> None:
    assert limited.facts is not None
    facts = limited.facts.model_copy(update={"max_steps": 480})
    state = replace(limited, facts=facts)
    shown = drawn(StageBars(), lambda bars: bars.show(state))
    assert "Epoch 3/20" in shown
    assert "Step 4/24" in shown
    assert "ends at" not in shown + progress(state)


def test_the_bars_show_scores_pace_and_validation(state: RunState) -> None:
    shown = drawn(StageBars(), lambda bars: bars.show(state))
    assert "Epoch 3/3" in shown
    assert "Step 24/24" in shown
    assert "Test" in shown
    assert "accuracy 70.00%, macro F1 0.6625" in shown

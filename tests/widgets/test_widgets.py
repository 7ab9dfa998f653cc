"""Widgets alone: one way in, no truth of their own, nothing drawn twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from ecotui.events import (
    CheckpointVerified,
    CheckReported,
    ClassScore,
    LoaderRebuilt,
    SavingFailed,
    SavingRestored,
    ValidationFinished,
)
from ecotui.layers import at_rest
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.state import RunState, fold
from ecotui.widgets.checkpoint_table import CheckpointTable
from ecotui.widgets.class_table import ClassTable
from ecotui.widgets.finding_rows import CheckRow
from ecotui.widgets.finding_text import detail
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.health_log import HealthLog
from ecotui.widgets.stage_bars import StageBars
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


def test_the_log_keeps_the_order_in_which_things_came(state: RunState) -> None:
    shown = drawn(HealthLog(), lambda log: log.show(state))
    places = [shown.index(f"layer {layer}") for layer in (4, 5, 6, 7)]
    assert places == sorted(places)
    assert shown.index("set aside: glass/broken 17.jpg") < places[0]
    assert "✓ recovered: layer 6" in shown


def test_the_newest_alert_is_in_view_however_many_there_are(state: RunState) -> None:
    many = state.set_aside * 50
    aside = tuple(
        each.model_copy(update={"seq": seq, "path": f"glass/{seq}.jpg"})
        for seq, each in enumerate(many, start=10_000)
    )
    from dataclasses import replace

    shown = drawn(HealthLog(), lambda log: log.show(replace(state, set_aside=aside)), (60, 10))
    assert "glass/10049.jpg" in shown


def test_the_table_of_checkpoints_has_the_best_on_top(state: RunState) -> None:
    lines = drawn(CheckpointTable(), lambda table: table.show(state)).splitlines()
    assert "★ best, accuracy 72.50%" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["72", "48"]


def test_a_checkpoint_that_was_read_back_says_so(state: RunState) -> None:
    saved = state.checkpoints[-1]
    known = fold(state_without_end(state), CheckpointVerified(path=saved.path, ok=True, what=""))
    rows = drawn(CheckpointTable(), lambda table: table.show(known)).splitlines()
    assert [row for row in rows if "✓ read back" in row] == [
        row for row in rows if f"{saved.step:,}" in row and saved.reason in row
    ]


def test_trouble_with_saving_and_loading_stands_among_the_alerts(state: RunState) -> None:
    for event in (
        SavingFailed(
            step=7, what="No space left", remedy="free some", last_checkpoint=None, waits=True
        ),
        SavingRestored(step=7),
        LoaderRebuilt(
            step=8, what="worker 1 was killed", workers_before=2, workers=1, rebuilds_left=2
        ),
    ):
        state = fold(state_without_end(state), event)
    shown = " ".join(drawn(HealthLog(), lambda log: log.show(state)).split())
    assert "✗ critical: not saving: step 7: No space left; training waits" in shown
    assert "✓ saving again" in shown
    assert "! warning: step 8: worker 1 was killed" in shown


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
    table, log = CheckpointTable(), HealthLog()
    drawn(table, lambda each: each.show(state))
    drawn(log, lambda each: each.show(state))

    def complain(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(table, "clear", complain)
    monkeypatch.setattr(log, "write", complain)
    table.show(state)
    log.show(state)
    with pytest.raises(AssertionError):
        log.show(RunState())


def test_the_bars_show_scores_pace_and_validation(state: RunState) -> None:
    shown = drawn(StageBars(), lambda bars: bars.show(state))
    assert "Epoch 3/3" in shown
    assert "Step 24/24" in shown
    assert "Test" in shown
    assert "accuracy 70.00%, macro F1 0.6625" in shown

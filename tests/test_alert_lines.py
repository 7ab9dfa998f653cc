"""Lines of the log of alerts: what a row is made of, and what a filter leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecotui.alert_lines import Acknowledged, AlertRow, Filter, Filtered, row_of
from ecotui.events import (
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    RunResumed,
    SampleSetAside,
    SavingFailed,
    SavingRestored,
)
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.log_lines import LINES_A_BLOCK, PackedLines


def row(event: Any) -> AlertRow:
    return row_of(event.model_dump_json())


TRIPPED = GuardTripped(
    seq=7,
    at=1_790_000_000.0,
    layer=5,
    guard="loss_spike",
    severity="critical",
    what="the loss has jumped",
    observed=9.5,
    limit=2.0,
    unit="nats",
    advice="lower it",
    action="rollback",
    step=33,
    files=("a.jpg", "b.jpg"),
)


def test_a_guard_that_tripped_tells_everything() -> None:
    assert row(TRIPPED) == AlertRow(
        kind="guard_tripped",
        seq=7,
        at=1_790_000_000.0,
        level="critical",
        layer=5,
        name="loss_spike",
        step=33,
        what="the loss has jumped",
        advice="lower it",
        done="the run went back to a sound state",
        figures="seen 9.5, limit 2 nats",
        files=("a.jpg", "b.jpg"),
    )


@pytest.mark.parametrize(
    ("event", "level", "layer", "name", "words", "is_over"),
    [
        (
            GuardRecovered(layer=6, guard="g", what="finite again", step=3),
            *("note", 6, "g", "finite again", True),
        ),
        (
            HealthAlerted(severity="warning", code="stall", message="no progress", advice="look"),
            *("warning", None, "stall", "no progress", False),
        ),
        (
            SampleSetAside(path="x.jpg", reason="torn", split="train", step=1),
            *("note", 4, "bad_input", "set aside: x.jpg (torn)", False),
        ),
        (
            SavingFailed(step=7, what="full", remedy="free it", last_checkpoint=None, waits=True),
            *("critical", None, "saving_failed", "not saving: full", False),
        ),
        (
            SavingRestored(step=7),
            *("note", None, "saving_failed", "saving again", True),
        ),
        (
            LoaderRebuilt(step=8, what="died", workers_before=2, workers=1, rebuilds_left=2),
            *("warning", 4, "loader_rebuilt", "died", False),
        ),
        (
            RunResumed(
                attempt=2, from_step=5, epoch=1, checkpoint=None, note="as was", exactness="E0"
            ),
            *("warning", None, "", "resumed: as was", False),
        ),
        (
            RunRolledBack(
                from_step=9,
                to_step=4,
                epoch=0,
                source="memory",
                guard="loss_spike",
                what="a spike",
                num_skipped_batches=1,
                learning_rate_factor=1.0,
                num_rollbacks=1,
                rollbacks_left=2,
            ),
            *("warning", None, "loss_spike", "back to step 4: a spike", False),
        ),
    ],
)
def test_every_kind_of_alert_has_a_level_and_words(
    event: Any, level: str, layer: int | None, name: str, words: str, is_over: bool
) -> None:
    found = row(event)
    assert (found.level, found.layer, found.name) == (level, layer, name)
    assert (found.what, found.is_over) == (words, is_over)


def test_an_incident_names_its_record() -> None:
    event = IncidentRecorded(
        incident="i1",
        layer=5,
        guard="nonfinite_loss",
        step=3,
        cause="data",
        what="one file",
        advice="look",
        files=("f.jpg",),
        file="incidents/i1.json",
    )
    assert row(event).record == "incidents/i1.json"
    assert row(event).files == ("f.jpg",)


@pytest.mark.parametrize("line", ["", "{", "[]", "7", "[" * 100_000, '"x"'])
def test_a_line_that_is_no_event_is_its_own_text(line: str) -> None:
    assert row_of(line) == AlertRow(what=line)


def test_values_of_another_type_are_left_out() -> None:
    strange = {"kind": 7, "seq": "x", "at": "y", "layer": [1], "files": "abc", "what": {"a": 1}}
    found = row_of(json.dumps(strange))
    assert (found.kind, found.seq, found.at, found.layer) == ("", -1, 0.0, None)
    assert (found.files, found.what) == ((), "")


def told(layer: int, severity: str, what: str = "x") -> str:
    return json.dumps({"kind": "guard_tripped", "layer": layer, "severity": severity, "what": what})


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(level="warning"), [1, 2, 3]),
        (Filter(level="critical"), [2]),
        (Filter(layer=5), [1, 2]),
        (Filter(layer=5, level="critical"), [2]),
        (Filter(words="GLASS broken"), [3]),
        (Filter(words="nowhere"), []),
    ],
)
def test_a_filter_leaves_levels_words_and_layers(wanted: Filter, kept: list[int]) -> None:
    lines = [
        told(4, "note"),
        told(5, "warning"),
        told(5, "critical"),
        told(7, "warning", "a broken Glass"),
    ]
    assert [at for at, line in enumerate(lines) if wanted.keeps(line)] == kept
    assert wanted.is_open == (len(kept) == 4)


def packed(lines: list[str], most: int = 1_000_000) -> PackedLines:
    found = PackedLines(most)
    for line in lines:
        found.add(line)
    return found


def test_lines_are_found_by_and_by_and_later_ones_too() -> None:
    source = packed([str(at) for at in range(1_000)])
    found = Filtered(source, lambda line: line.endswith("7"))
    assert found.look(100)
    assert [found.line(at) for at in range(len(found))] == [
        f"{at}7" if at else "7" for at in range(10)
    ]
    assert not found.look(10_000)
    assert len(found) == 100
    source.add("1007")
    assert not found.look(10)
    assert found.line(100) == "1007"
    with pytest.raises(IndexError):
        found.line(101)


def test_lines_that_were_dropped_are_found_no_more() -> None:
    source = packed([str(at) for at in range(LINES_A_BLOCK)], most=2 * LINES_A_BLOCK)
    found = Filtered(source, lambda line: int(line) % 2 == 0)
    found.look(10_000)
    for at in range(LINES_A_BLOCK, 4 * LINES_A_BLOCK):
        source.add(str(at))
    while found.look(100):
        pass
    kept = [int(found.line(at)) for at in range(len(found))]
    assert kept == [at for at in range(2 * LINES_A_BLOCK, 4 * LINES_A_BLOCK) if at % 2 == 0]


def test_a_log_that_was_emptied_is_looked_through_anew() -> None:
    source = packed(["a", "b"])
    found = Filtered(source, lambda _: True)
    found.look(10)
    source.clear()
    source.add("c")
    found.look(10)
    assert [found.line(at) for at in range(len(found))] == ["c"]


def test_what_was_acknowledged_is_counted() -> None:
    seen = Acknowledged()
    seen.add(3)
    seen.add(3)
    assert seen.has(3)
    assert not seen.has(4)
    assert seen.num_left(5) == 4
    seen.add_all(upto=9, count=5)
    assert seen.has(4)
    assert not seen.has(10)
    assert seen.num_left(7) == 2
    seen.add(4)
    assert seen.num_left(7) == 2


def test_what_was_acknowledged_is_known_to_the_next_app_and_to_one_beside() -> None:
    kept: list[str] = []
    one, other = Acknowledged(), Acknowledged()
    one.begin([], kept.append)
    other.begin([], kept.append)
    one.add(3)
    other.add_all(upto=9, count=5)
    one.add(4)
    one.add(12)
    later = Acknowledged()
    later.begin(kept, kept.append)
    assert [seq for seq in range(14) if later.has(seq)] == [*range(10), 12]
    assert later.num_left(8) == 2
    assert len(kept) == 4  # what was read is not written again


def test_another_run_is_taken_up_with_nothing_of_the_one_before() -> None:
    seen = Acknowledged()
    seen.add_all(upto=9, count=5)
    seen.begin(["7", "all", "all x 3", "\x1b[31m", "9" * 40], lambda _: None)
    assert [seq for seq in range(12) if seen.has(seq)] == [7]


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("it is over", "the loss stands still: it is over"),
        ("it is over: the loss stands still", "it is over: the loss stands still"),
    ],
)
def test_what_is_over_is_named(what: str, shown: str) -> None:
    line = json.dumps({"kind": "guard_recovered", "guard": "loss_plateau", "what": what})
    assert row_of(line).what == shown

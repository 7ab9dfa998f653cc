"""What a person reads where a guard has ended the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.stop_report import _incident, _told
from ecotui.errors import ExitCode
from ecotui.events import EpochStarted, Event, GuardTripped, HealthAlerted, RunFailed
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.paths import RunDir
from tests.engine.harness import Harness, of
from tests.engine.injector import OUT_OF_MEMORY, Injector, raising
from tests.engine.test_recovery import always, settings
from tests.faults.broken_disk import full


def section(run: RunDir, title: str) -> str:
    text = run.stop_report.read_text()
    return text.partition(f"\n## {title}\n\n")[2].partition("\n## ")[0]


def test_a_run_that_ends_after_three_rollbacks_tells_all_that_was_tried(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch)
    run = harness.new(**settings(train={"epochs": 9, "batch_size": 2}))
    events, code = harness.run(run)
    assert code == ExitCode.HEALTH
    (failed,) = of(RunFailed, events)
    assert failed.remedy.endswith(f"; the whole story is in {run.stop_report}")
    text = run.stop_report.read_text()
    assert text.startswith(f"# Why {run.run_id} stopped\n\n{failed.what}.\n")
    last = of(GuardTripped, events)[-1]
    assert f"(layer 5) at step {last.step}, in epoch {of(EpochStarted, events)[-1].epoch}" in text
    assert "docs/alerts.md#nonfinite_loss" in text
    assert "1. lower train.learning_rate" in section(run, "What to do")
    assert f"`ecotui resume {run.run_id}`" in section(run, "What to do")
    tried = section(run, "What was tried")
    for place, back in enumerate(of(RunRolledBack, events), start=1):
        (line,) = [each for each in tried.splitlines() if each.startswith(f"{place}. ")]
        assert f"step {back.from_step}, the loss is not finite (3 in a row)" in line
        assert f"back to step {back.to_step} from {back.source}" in line
        assert f"{back.num_skipped_batches} batches passed over" in line
        assert line.endswith(f"learning rate times {back.learning_rate_factor}")
    assert "- rollbacks: 3 of 3" in tried
    samples = section(run, "Samples concerned").splitlines()
    assert len([each for each in samples if each.startswith("- ")]) == 2
    for incident in of(IncidentRecorded, events):
        told = section(run, "Incidents")
        assert f"- {incident.file}: step {incident.step}," in told
        assert f"cause: {incident.cause}" in told
    assert "largest gradient norms: " in section(run, "Incidents")
    steps = section(run, "The last steps").splitlines()
    assert steps[0] == "| step | loss | gradient norm | learning rate |"
    assert "| not finite |" in steps[-1]
    assert "is left after the rollbacks" in section(run, "Settings")
    assert "- rollbacks.json" in section(run, "Where to look")


def test_memory_that_is_spent_names_how_far_it_went(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(RuntimeError(OUT_OF_MEMORY))(Injector(monkeypatch, at=0, times=99))
    run = harness.new(**settings(model={"name": "test_vit"}))
    events, code = harness.run(run)
    assert code == ExitCode.OUT_OF_MEMORY
    assert str(run.stop_report) in of(RunFailed, events)[0].remedy
    assert "as memory ran out: 1 instead of 4" in section(run, "What was tried")
    assert "No batch was looked into." in section(run, "Incidents")


def test_a_later_attempt_that_ends_otherwise_leaves_none(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        always(patch)
        run = harness.new(**settings(guards={"healing": False}))
        assert harness.run(run)[1] == ExitCode.HEALTH
    assert "nothing else: guards.healing is false" in section(run, "What was tried")
    assert harness.run(run, attempt=2)[1] == ExitCode.DONE
    assert not run.stop_report.exists()


def test_where_it_cannot_be_written_the_advice_stands_alone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch)
    run = harness.new(**settings(guards={"healing": False}))
    filled = full(run.path)

    def fill(event: Event) -> None:
        if isinstance(event, GuardTripped):
            filled.__enter__()

    try:
        events, code = harness.run(run, fill)
    finally:
        filled.__exit__(None, None, None)
    assert code == ExitCode.HEALTH
    assert "whole story" not in of(RunFailed, events)[0].remedy
    assert "records_not_written" in {alert.code for alert in of(HealthAlerted, events)}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"samples": 3, "as_is": [], "step": None},
        {"samples": [1, {"file": "a_[b](c)\x1b`d`|.png", "fails_alone": True}]},
        {"as_is": {"gradient_norms": {"w": "nan", "v": 2.0, "u": [1]}}},
    ],
)
def test_a_record_of_any_content_is_told_harmlessly(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "incidents" / "001-x.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    told = _incident(path)
    assert told is not None
    text = "\n".join(_told(told))
    assert "\x1b" not in text
    assert "[b](" not in text.replace("\\[b](", "")
    assert "| " not in text


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 9_000, json.dumps(math.nan)])
def test_a_record_that_cannot_be_read_is_passed_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "001-x.json"
    path.write_text(content)
    assert _incident(path) is None

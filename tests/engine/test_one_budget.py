"""Audit, checks and plan share one budget: each does less where little is left, and says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ecotui.engine.audit import reading, scan, sweep
from ecotui.engine.data import dataset, sources
from ecotui.errors import ExitCode
from ecotui.events import CheckReported
from ecotui.jobs import PreflightJob
from ecotui.plans import AuditFinished, AuditReported, PlanProposed, PreflightRecorded
from tests.engine.harness import Harness, of

SCHEMA = Path(__file__).parents[2] / "schemas" / "audit.schema.json"
BUDGET_SECONDS = 8.0
LOOK_SECONDS, DECODE_SECONDS = 0.4, 0.15
PATIENCE_SECONDS = 8.0
"""For what cannot be cut short, a batch, a pass, a file, and for a machine that stalls."""


def slowly(real: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    def work(*arguments: Any, **settings: Any) -> Any:
        time.sleep(seconds)
        return real(*arguments, **settings)

    return work


@pytest.fixture
def slow(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Photos that take long to read: all 24 take longer than there is, whoever reads them."""
    monkeypatch.setattr(sweep, "fetch", slowly(reading.fetch, LOOK_SECONDS))
    monkeypatch.setattr(scan, "available_threads", lambda: 1)
    monkeypatch.setattr(dataset, "open_source", slowly(sources.open_source, DECODE_SECONDS))
    return harness


def test_a_slow_drive_shortens_every_part_and_none_takes_the_time_of_another(
    slow: Harness,
) -> None:
    run = slow.new(
        PreflightJob(), preflight={"level": "full", "budget_seconds": BUDGET_SECONDS, "skip": []}
    )
    started = time.monotonic()
    events, code = slow.run(run)
    assert time.monotonic() - started < BUDGET_SECONDS + PATIENCE_SECONDS
    assert code == ExitCode.DONE, events[-1]

    (audit,) = of(AuditFinished, events)
    assert 0 < audit.num_files < 24
    assert audit.num_files + audit.num_left_out == 24
    assert audit.seconds < 0.5 * BUDGET_SECONDS + 3.0
    found = {check.check: check for check in of(CheckReported, events)}
    assert found["transforms"].verdict == "pass"
    assert len(of(PlanProposed, events)) == 1

    (recorded,) = of(PreflightRecorded, events)
    assert recorded.folder == str(run.path)
    assert recorded.budget_seconds == BUDGET_SECONDS
    assert audit.seconds < recorded.seconds < BUDGET_SECONDS + PATIENCE_SECONDS
    parts = [sentence.partition(":")[0] for sentence in recorded.shortened]
    assert parts[:2] == ["audit", "checks"]
    assert f"{audit.num_left_out} of 24 photos" in recorded.shortened[0]
    assert "ecotui audit CONFIG" in recorded.shortened[0]
    assert "preflight.budget_seconds" in recorded.shortened[1]
    kept = json.loads(run.preflight.read_text())
    assert kept["shortened"] == list(recorded.shortened)
    assert kept["audit"]["num_left_out"] == audit.num_left_out
    assert kept["plan"]["seconds"] > 0.0
    findings = json.loads(run.audit.read_text())
    assert findings["num_left_out"] == audit.num_left_out
    jsonschema.validate(findings, json.loads(SCHEMA.read_text()))


def test_the_part_of_the_photos_is_spread_over_the_classes(
    slow: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "FILES_AT_ONCE", 1)
    run = slow.new(PreflightJob(), preflight={"level": "full", "budget_seconds": BUDGET_SECONDS})
    seen: set[str] = set()
    real = slowly(reading.fetch, LOOK_SECONDS)

    def note(path: str) -> Any:
        seen.add(Path(path).parent.parent.name)
        return real(path)

    monkeypatch.setattr(sweep, "fetch", note)
    slow.run(run)
    assert seen == {"cat", "dog", "owl"}


def test_what_was_read_is_not_read_again_and_the_rest_follows(slow: Harness) -> None:
    sections = {"level": "full", "budget_seconds": BUDGET_SECONDS, "skip": ["first_batch", "plan"]}
    first, second = (
        of(AuditFinished, slow.run(slow.new(PreflightJob(), preflight=sections))[0])[0]
        for _ in range(2)
    )
    assert second.num_files > first.num_files


def test_without_any_time_only_names_are_looked_at(harness: Harness) -> None:
    run = harness.new(PreflightJob(), preflight={"level": "full", "budget_seconds": 1e-6})
    events, code = harness.run(run)
    assert code == ExitCode.DONE, events[-1]
    categories = {event.category for event in of(AuditReported, events)}
    assert categories == {"class_balance", "few_photos", "class_names", "missing_classes"}
    (recorded,) = of(PreflightRecorded, events)
    parts = [sentence.partition(":")[0] for sentence in recorded.shortened]
    assert list(dict.fromkeys(parts)) == ["audit", "checks", "plan"]
    assert of(PlanProposed, events) == []


def test_what_auto_measured_is_taken_off(harness: Harness) -> None:
    run = harness.new(PreflightJob(), train={"batch_size": "auto", "learning_rate": "auto"})
    events, _ = harness.run(run)
    (recorded,) = of(PreflightRecorded, events)
    (plan,) = of(PlanProposed, events)
    assert recorded.seconds >= plan.seconds
    assert recorded.shortened == ()

"""Warnings of the audit that a config accepts; errors that it cannot; classes that are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.data.index import build_index
from ecotui.errors import ExitCode, UsageError
from ecotui.events import CheckReported, RunFailed, RunStarted
from ecotui.jobs import AuditJob, PreflightJob
from ecotui.plans import AuditReported, PreflightRecorded
from tests.engine.harness import Harness, copy_of, of


def reported(events: list[Any], category: str) -> AuditReported:
    found: list[AuditReported] = of(AuditReported, events)
    (one,) = (each for each in found if each.category == category)
    return one


@pytest.fixture
def own(harness: Harness, tmp_path: Path) -> Harness:
    harness.data_root = copy_of(harness.data_root, tmp_path / "own")
    return harness


@pytest.mark.parametrize("job", [AuditJob(), PreflightJob()])
@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_warning_of_the_audit_that_is_accepted_no_longer_counts(
    own: Harness, job: Any, level: str
) -> None:
    (own.data_root / "cat" / "default" / "00.png").write_bytes(b"")
    accept = ["few_photos", "empty", "files"]
    runs = {}
    for accepted in ([], accept):
        run = own.new(job, preflight={"level": level, "accept": accepted})
        runs[bool(accepted)] = run, *own.run(run)
    _, events, code = runs[False]
    assert code == ExitCode.DONE
    assert reported(events, "few_photos").verdict == "warn"
    run, events, code = runs[True]
    assert code == ExitCode.DONE
    few = reported(events, "few_photos")
    assert few.verdict == "note"
    assert few.what.startswith("accepted: ")
    findings = (*of(AuditReported, events), *of(CheckReported, events))
    names = {getattr(each, "category", getattr(each, "check", "")): each for each in findings}
    assert names["few_photos"].verdict == "note"
    if level == "full" and isinstance(job, PreflightJob):
        assert names["empty"].verdict == "note"
        assert names["files"].verdict == "note"
        kept = json.loads(run.preflight.read_text())["audit"]["findings"]
        assert {each["category"] for each in kept if each["accepted"]} == {"few_photos", "empty"}


@pytest.mark.parametrize("job", [AuditJob(), PreflightJob()])
def test_too_many_unreadable_files_cannot_be_accepted(own: Harness, job: Any) -> None:
    for path in sorted(own.data_root.glob("*/default/*")):
        path.write_bytes(b"")
    accept = ["files", "empty"]
    events, code = own.run(own.new(job, preflight={"level": "full", "accept": accept}))
    assert code == ExitCode.PREFLIGHT
    (failed,) = of(RunFailed, events)
    assert "an error cannot be accepted" in failed.remedy


def test_a_category_that_does_not_exist_is_refused_with_the_nearest(own: Harness) -> None:
    events, code = own.run(own.new(PreflightJob(), preflight={"accept": ["few_photo"]}))
    assert code == ExitCode.USAGE
    assert "did you mean few_photos" in of(RunFailed, events)[0].remedy
    # What is accepted cannot be left out: it is no check.
    events, code = own.run(own.new(PreflightJob(), preflight={"skip": ["few_photos"]}))
    assert code == ExitCode.USAGE


@pytest.fixture(params=["train", "val", "empty folder", "single photo"])
def lacking(request: pytest.FixtureRequest, own: Harness, tmp_path: Path) -> Harness:
    """A data set without owls in a split, or with too few to be split."""
    if request.param in ("train", "val"):
        root = tmp_path / "split"
        for split in ("train", "val"):
            shutil.copytree(own.data_root, root / split)
        shutil.rmtree(root / request.param / "owl")
        own.data_root = root
    else:
        kept = 1 if request.param == "single photo" else 0
        for path in sorted(path for path in (own.data_root / "owl").rglob("*.*"))[kept:]:
            path.unlink()
    return own


def test_a_missing_class_is_a_finding_and_the_audit_goes_on(lacking: Harness) -> None:
    run = lacking.new(AuditJob())
    events, code = lacking.run(run)
    assert code == ExitCode.PREFLIGHT
    missing = reported(events, "missing_classes")
    assert missing.verdict == "fail"
    assert "owl" in missing.what
    assert missing.remedy
    assert "dark" in {each.category for each in of(AuditReported, events)}
    kept = json.loads(run.audit.read_text())["findings"]
    assert "missing_classes" in {each["category"] for each in kept}
    (failed,) = of(RunFailed, events)
    assert failed.what == missing.what


def test_preflight_ends_with_exit_code_3_before_anything_is_built(lacking: Harness) -> None:
    run = lacking.new(PreflightJob(), preflight={"accept": ["missing_classes"]})
    events, code = lacking.run(run)
    assert code == ExitCode.PREFLIGHT
    assert reported(events, "missing_classes").verdict == "fail"
    (failed,) = of(RunFailed, events)
    assert "owl" in failed.what
    assert "an error cannot be accepted" in failed.remedy
    assert of(RunStarted, events) == []
    assert len(of(PreflightRecorded, events)) == 1
    kept = json.loads(run.preflight.read_text())
    assert [each["verdict"] for each in kept["audit"]["findings"]] == ["fail"]
    assert {each["why"] for each in kept["skipped"]} == {"missing_classes failed"}


def test_a_training_still_refuses_it_as_a_mistake_of_use(lacking: Harness) -> None:
    with pytest.raises(UsageError):
        build_index(lacking.config().data, 0)

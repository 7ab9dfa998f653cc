"""Photos that never come are named, and preflight goes on without them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.data import decode
from ecotui.errors import ExitCode
from ecotui.events import CheckReported
from ecotui.jobs import PreflightJob
from ecotui.plans import PlanProposed
from tests.engine.checks.test_examination import assembled, material
from tests.engine.harness import Harness, copy_of, of


@pytest.fixture
def hanging(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A data set in which the photos of one class that are called 00 never come."""
    harness.data_root = copy_of(harness.data_root, tmp_path / "copy")
    release, real = threading.Event(), decode.open_regular

    def open_regular(path: str | Path) -> int:
        if "cat" in os.fspath(path) and "00." in os.fspath(path):
            release.wait(60.0)
        return real(path)

    monkeypatch.setattr(decode, "open_regular", open_regular)
    yield harness
    release.set()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_never_comes_is_named_and_the_rest_is_done(
    hanging: Harness, workers: int
) -> None:
    # At a budget of 20 s a photo is waited for one second.
    sections: dict[str, Any] = {
        "preflight": {"budget_seconds": 20.0},
        "compute": {"workers": workers},
        "train": {"batch_size": 18, "epochs": 3},  # with which the cache is chosen, too
    }
    started = time.monotonic()
    events, code = hanging.run(hanging.new(PreflightJob(), **sections))
    assert time.monotonic() - started < 40.0
    assert code == ExitCode.DONE
    found = {check.check: check for check in of(CheckReported, events) if check.layer > 1}
    assert found["samples"].verdict == "warn"
    assert "cat/" in found["samples"].what
    assert "did not end within 1 s" in found["samples"].what
    assert found["first_batch"].verdict == "pass"
    assert len(of(PlanProposed, events)) == 1


def test_what_preflight_had_no_patience_for_the_training_reads(harness: Harness) -> None:
    parts = assembled(harness)
    made = material(harness, parts)
    with parts.train_loader.forgiving():
        for sample_id in parts.index.splits["train"].tolist():
            parts.train_loader.leave_out(sample_id, "it hung")
    (first, *_) = parts.train_loader.epoch(0)
    assert not first.failures
    assert made.dataset("train").patience_seconds == 6.0

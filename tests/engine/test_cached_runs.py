"""Runs on decoded pictures that are kept: the same bits whatever becomes of the cache."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ecotui.config_file import parse_file
from ecotui.engine.data import cache_choice
from ecotui.engine.data.cache_choice import cache_folder
from ecotui.engine.data.transforms import PIXELS_VERSION
from ecotui.engine.exactness import compare
from ecotui.errors import ExitCode
from ecotui.events import LogWritten, RunResumed
from tests.engine.data.test_sources import photo_like
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.test_resumption import stop_at

KEPT: dict[str, Any] = {"data": {"cache": True, "cache_side": 48}, "train": {"epochs": 3}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kept")
    for number in range(24):
        path = root / ("cat", "dog", "owl")[number % 3] / f"{number:02d}.jpg"
        path.parent.mkdir(exist_ok=True)
        photo_like(160, 120, number).save(path, quality=90)
    return root


@pytest.fixture
def runs(tmp_path: Path, photos: Path) -> Harness:
    return Harness(tmp_path, photos)


def data_of(run: Any) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(run.resolved.read_text())["data"]
    return table


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_and_resume_give_the_same_bits_with_the_cache_there_or_gone(
    runs: Harness, workers: int
) -> None:
    whole, _ = runs.train(**KEPT)
    assert (data_of(whole)["cache"], data_of(whole)["cache_side"]) == (True, 48)
    pictures = [each for each in cache_folder().glob("??/*") if not each.is_symlink()]
    assert len(pictures) == 24
    for is_gone in (False, True):
        settings: dict[str, Any] = {
            "checkpoint": {"interval_seconds": 1e-6},
            "compute": {"workers": workers},
        }
        run = runs.new(**KEPT, **settings)
        _, code = runs.run(run, stop_at(run, 5))
        assert code == ExitCode.RESUMABLE
        if is_gone:
            shutil.rmtree(cache_folder())
        events, code = runs.run(run, attempt=2)
        assert code == ExitCode.DONE
        assert of(RunResumed, events)[0].exactness == "E2"
        assert same(final_weights(run), final_weights(whole))


def test_its_pixels_are_others_than_those_of_the_photos(runs: Harness) -> None:
    kept, _ = runs.train(**KEPT)
    plain, _ = runs.train(data={"cache": False}, train={"epochs": 3})
    assert data_of(plain)["cache"] is False
    assert not same(final_weights(kept), final_weights(plain))


def test_what_is_chosen_is_written_down_told_and_kept(
    runs: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_choice, "MIN_PIXELS", 1)
    run = runs.new(train={"epochs": 3}, checkpoint={"interval_seconds": 1e-6})
    events, _ = runs.run(run, stop_at(run, 5))
    assert (data_of(run)["cache"], data_of(run)["cache_side"]) == (True, 64)
    assert any("data.cache = true: 24 photos" in each.message for each in of(LogWritten, events))
    monkeypatch.setattr(cache_choice, "MIN_PIXELS", 10**9)  # would choose otherwise now
    events, code = runs.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert (data_of(run)["cache"], data_of(run)["cache_side"]) == (True, 64)
    assert of(RunResumed, events)[0].exactness == "E2"


def test_a_run_from_before_the_cache_goes_on_without_it(
    runs: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.new(train={"epochs": 3}, checkpoint={"interval_seconds": 1e-6})
    runs.run(run, stop_at(run, 5))
    lines = run.resolved.read_text().splitlines(keepends=True)
    run.resolved.write_text("".join(line for line in lines if not line.startswith("cache")))
    assert parse_file(run.resolved).data.cache == "auto"
    monkeypatch.setattr(cache_choice, "MIN_PIXELS", 1)
    _, code = runs.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert data_of(run)["cache"] is False


def test_a_checkpoint_of_other_pixels_is_told_apart() -> None:
    facts = {"environment": {"pixels": PIXELS_VERSION}, "data": "", "config": {}}
    assert compare(facts, facts).exactness == "E2"
    found = compare({**facts, "environment": {}}, facts)
    assert found.exactness == "E1"
    assert found.differences == (f"pixels is {PIXELS_VERSION} instead of None",)

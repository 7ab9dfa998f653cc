"""The surest mistakes, as faces read them: foreign files, never trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ecotui.mistakes import MAX_MISTAKES, read_mistakes
from ecotui.paths import RunDir
from ecotui.runs_table import glance

Recorded = Callable[[str], RunDir]
ONE = {"path": "glass/1.jpg", "true": "glass", "predicted": "metal", "confidence": 0.9}


def written(run: RunDir, mistakes: Any, **more: Any) -> RunDir:
    run.mistakes.write_text(json.dumps({"split": "test", "epoch": 2, "mistakes": mistakes} | more))
    return run


def found(run: RunDir) -> tuple[Any, ...]:
    return read_mistakes(run, glance(run).test)


def test_mistakes_come_with_their_pictures(recorded: Recorded) -> None:
    run = written(recorded("full_run"), [ONE | {"preview": "previews/mistake-00.png"}, ONE])
    run.previews.mkdir()
    (run.previews / "mistake-00.png").write_bytes(b"png")
    first, second = found(run)
    assert (first.path, first.true, first.predicted, first.confidence, first.picture) == (
        "glass/1.jpg",
        "glass",
        "metal",
        0.9,
        b"png",
    )
    assert second.picture is None


@pytest.mark.parametrize("preview", ["../../secret", "/etc/passwd", "previews/../x.png", 3, None])
def test_no_other_file_is_taken_for_a_picture(recorded: Recorded, preview: object) -> None:
    run = written(recorded("full_run"), [ONE | {"preview": preview}])
    assert found(run)[0].picture is None


@pytest.mark.parametrize("mistakes", [None, "x", [1, None, {}], [ONE | {"confidence": "sure"}]])
def test_a_record_that_is_none_holds_no_mistakes(recorded: Recorded, mistakes: object) -> None:
    assert found(written(recorded("full_run"), mistakes)) == ()


def test_pictures_of_an_earlier_evaluation_give_way_to_the_record_of_this_one(
    recorded: Recorded,
) -> None:
    run = written(recorded("full_run"), [ONE], epoch=1)
    judged = glance(run).test
    assert judged is not None
    path = run.path / judged.file
    path.parent.mkdir()
    path.write_text(json.dumps({"mistakes": [ONE | {"path": "newer.jpg"}] * 40}))
    assert [each.path for each in found(run)] == ["newer.jpg"] * MAX_MISTAKES


def test_without_an_evaluation_there_are_none(recorded: Recorded) -> None:
    assert read_mistakes(recorded("full_run"), None) == ()

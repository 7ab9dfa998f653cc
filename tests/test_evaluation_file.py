"""What the engine wrote of an evaluation is read as data: whole, or refused in three lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecotui.errors import EcoError
from ecotui.evaluation_file import MAX_FILE_BYTES, Confusion, Mistake, read_confusion


def written(path: Path, names: list[Any], counts: Any) -> Path:
    path.write_text(json.dumps({"per_class": [{"name": n} for n in names], "confusion": counts}))
    return path


def test_names_and_counts_are_read_in_their_order(tmp_path: Path) -> None:
    found = read_confusion(written(tmp_path / "e.json", ["b", "a"], [[3, 1], [0, 5]]))
    assert found == Confusion(("b", "a"), ((3, 1), (0, 5)))
    assert found.support(0) == 4


def test_the_commonest_mistakes_come_first_and_the_diagonal_is_none() -> None:
    found = Confusion(("a", "b", "c"), ((90, 2, 8), (2, 2, 0), (0, 0, 7)))
    assert found.mistakes(2) == [Mistake(8, 0, 2, 0.08), Mistake(2, 1, 0, 0.5)]
    assert len(found.mistakes(10)) == 3


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (["a"], [[1, 2]]),
        (["a", "b"], [[1, 2]]),
        (["a"], [[-1]]),
        (["a"], [[1.5]]),
        (["a"], [[True]]),
        ([7], [[1]]),
        ([], []),
        (["a"], "x"),
        (["a"], ["x"]),
    ],
)
def test_what_is_no_matrix_is_refused(tmp_path: Path, names: list[Any], counts: Any) -> None:
    with pytest.raises(EcoError, match="holds no confusion matrix"):
        read_confusion(written(tmp_path / "e.json", names, counts))


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"[]", b"7"])
def test_what_is_no_evaluation_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "e.json"
    path.write_bytes(raw)
    with pytest.raises(EcoError, match="cannot be read"):
        read_confusion(path)


def test_a_file_that_is_not_there_or_far_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EcoError, match="No such file"):
        read_confusion(tmp_path / "none.json")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(EcoError, match=r"it has 100\.0 MB"):
        read_confusion(tmp_path / "huge.json")

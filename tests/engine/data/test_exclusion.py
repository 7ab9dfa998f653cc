from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.config import DataConfig
from ecotui.engine.data.index import build_index
from ecotui.errors import UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "photos" / name / f"{number}.png").touch()
    return tmp_path / "photos"


def excluding(root: Path, content: str) -> DataConfig:
    path = root.parent / "exclude.txt"
    path.write_text(content, encoding="utf-8")
    return DataConfig(root=str(root), exclude=str(path))


def test_listed_photos_are_left_out_before_ids_and_splits_are_made(root: Path) -> None:
    index = build_index(excluding(root, "# mine\ncat/1.png\n\n  dog/0.png\n"), seed=0)
    assert list(index.names) == [
        *("cat/0.png", "cat/2.png", "cat/3.png"),
        *("dog/1.png", "dog/2.png", "dog/3.png"),
    ]
    ids = sorted(each for split in index.splits.values() for each in split.tolist())
    assert ids == list(range(6))
    assert any("2 photos were left out" in note for note in index.notes)


def test_without_the_key_or_its_lines_all_are_back(root: Path) -> None:
    whole = build_index(DataConfig(root=str(root)), seed=0)
    again = build_index(excluding(root, "# cat/1.png\n"), seed=0)
    assert list(again.names) == list(whole.names)
    assert (again.splits["val"] == whole.splits["val"]).all()


def test_a_line_that_names_no_photo_is_a_note(root: Path) -> None:
    index = build_index(excluding(root, "cat/none.png\ncat/0.png\n"), seed=0)
    assert len(index.names) == 7
    assert any("cat/none.png" in note and "not among" in note for note in index.notes)


def test_odd_names_are_matched(root: Path) -> None:
    (root / "cat" / "a\nb.png").touch()
    index = build_index(excluding(root, "cat/a\\nb.png\n"), seed=0)
    assert len(index.names) == 8


def test_a_class_must_not_be_emptied(root: Path) -> None:
    lines = "".join(f"dog/{number}.png\n" for number in range(4))
    with pytest.raises(UsageError) as caught:
        build_index(excluding(root, lines), seed=0)
    assert "no photo is left of 1 class: 'dog'" in caught.value.what


def test_a_list_that_is_absent(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        build_index(DataConfig(root=str(root), exclude=str(root / "none.txt")), seed=0)
    assert "none.txt" in caught.value.what
    assert "data.exclude" in caught.value.remedy

"""A quick look at folders: classes counted by names, bounded, and nothing opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui import photo_folders
from ecotui.photo_folders import completions, look


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, count in (("glass", 3), ("metal", 2), (".hidden", 4)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.JPG").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_photos_are_counted_by_folder(photos: Path) -> None:
    found = look(photos)
    assert found.folders == ("glass", "metal", "notes")
    assert found.counts == (("glass", 3), ("metal", 2))
    assert found.words == "2 folders with 5 photos: glass 3, metal 2"


def test_a_folder_that_is_full_is_told_as_having_at_least_so_much(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_folders, "MAX_ENTRIES", 2)
    assert "at least" in look(photos).words


@pytest.mark.parametrize(
    ("name", "words"),
    [("glass", "3 photos, and no folder a class"), ("notes", "nothing here"), ("no", "cannot be")],
)
def test_what_is_no_data_set_is_told_as_such(photos: Path, name: str, words: str) -> None:
    assert words in look(photos / name).words


def test_names_from_outside_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m").mkdir()
    (tmp_path / "a\x1b[31m" / "1.png").write_bytes(b"")
    assert "\x1b" not in look(tmp_path).words


def test_a_path_is_finished_with_what_begins_like_it(photos: Path) -> None:
    assert completions(photos / "GL", False) == (photos, ["glass"])
    assert completions(photos, True) == (photos, ["glass", "metal", "notes"])
    assert completions(photos / "nothing" / "x", False)[1] == []

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.config import DataConfig
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.errors import UsageError

NAMES = [f"{label}/{number}.jpg" for label in ("cat", "dog") for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    write(tmp_path, train="cat/0.jpg\ndog/0.jpg\n", val="cat/1.jpg\ndog/1.jpg\n")
    return tmp_path


def write(root: Path, **lists: str) -> None:
    for split, text in lists.items():
        (root / f"{split}.txt").write_bytes(text.encode())


def read(root: Path) -> DataIndex:
    return build_index(DataConfig(root=str(root)), 0)


def names_of(index: DataIndex, split: str) -> list[str]:
    return [index.names[i] for i in index.splits[split].tolist()]  # type: ignore[index]


def fault(root: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(root)
    assert all(line.isprintable() for line in caught.value.lines())
    return caught.value.what


def test_lists_are_read_with_photos_in_images(root: Path) -> None:
    write(root, test="cat/2.jpg\ndog/2.jpg\n")
    index = read(root)
    assert index.layout == "lists"
    assert index.root == root / "images"
    assert index.class_names == ("cat", "dog")
    assert names_of(index, "train") == ["cat/0.jpg", "dog/0.jpg"]
    assert names_of(index, "val") == ["cat/1.jpg", "dog/1.jpg"]
    assert names_of(index, "test") == ["cat/2.jpg", "dog/2.jpg"]
    assert index.path_of(0).is_file()


def test_photos_may_lie_beside_the_lists(root: Path) -> None:
    for name in ("cat", "dog"):
        (root / "images" / name).rename(root / name)
    (root / "images").rmdir()
    assert read(root).root == root


def test_carriage_returns_blank_lines_comments_and_a_byte_order_mark_are_tolerated(
    root: Path,
) -> None:
    write(
        root, train="\ufeff# mine\r\n\r\n  cat/0.jpg \r\n./dog/0.jpg", val="cat/1.jpg\ndog//1.jpg"
    )
    index = read(root)
    assert names_of(index, "train") == ["cat/0.jpg", "dog/0.jpg"]
    assert names_of(index, "val") == ["cat/1.jpg", "dog/1.jpg"]


def test_missing_files_are_counted_and_the_first_named(root: Path) -> None:
    write(root, train="cat/0.jpg\ndog/0.jpg\n" + "".join(f"cat/no{n}.jpg\n" for n in range(9)))
    what = fault(root)
    assert "9 files of 13 cannot be found" in what
    assert "cat/no0.jpg, cat/no1.jpg, cat/no2.jpg and 6 more" in what


@pytest.mark.parametrize(
    "line", ["../cat/0.jpg", "/etc/passwd", "cat/../../0.jpg", "..", "cat/..", "cat/0\0.jpg"]
)
def test_a_path_outside_the_data_is_refused_by_its_line(root: Path, line: str) -> None:
    write(root, train=f"cat/0.jpg\n{line}\n")
    what = fault(root)
    assert "train.txt, line 2, names" in what
    assert "not inside the data" in what


def test_a_line_without_a_class_is_refused(root: Path) -> None:
    write(root, val="cat/1.jpg\n1.jpg\n")
    assert "val.txt, line 2, is '1.jpg'" in fault(root)


def test_a_file_in_two_lists_is_refused(root: Path) -> None:
    write(root, val="cat/1.jpg\ndog/1.jpg\n./cat/0.jpg\n")
    assert "cat/0.jpg is named in train and in val" in fault(root)


def test_a_file_twice_in_one_list_is_refused(root: Path) -> None:
    write(root, val="cat/1.jpg\ndog/1.jpg\ncat/1.jpg\n")
    assert "cat/1.jpg is named twice" in fault(root)


def test_a_class_absent_from_the_validation_list_is_named(root: Path) -> None:
    write(root, val="cat/1.jpg\n")
    assert "('dog') is in train, but not in validation" in fault(root)


def test_lists_asked_for_but_not_there(root: Path) -> None:
    (root / "val.txt").unlink()
    with pytest.raises(UsageError, match=r"val\.txt is absent"):
        build_index(DataConfig(root=str(root), layout="lists"), 0)

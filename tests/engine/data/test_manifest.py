from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.config import DataConfig
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.errors import UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("x/1", "x/2", "y/3", "y/4", "5", "6, six"):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def read(root: Path, text: str | bytes) -> DataIndex:
    (root / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return build_index(DataConfig(root=str(root), manifest="list.csv"), 0)


def fault(root: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        read(root, text)
    assert all(line.isprintable() for line in caught.value.lines())
    return caught.value.what


def names_of(index: DataIndex, split: str) -> list[str]:
    return [index.names[i] for i in index.splits[split].tolist()]  # type: ignore[index]


def test_labels_and_splits_come_from_the_columns(root: Path) -> None:
    index = read(
        root,
        "\ufeffLabel, Path ,split,more\r\na,x/1.jpg,train,\r\nb,x/2.jpg,train,\r\n"
        'a,y/3.jpg,val,\r\nb,y/4.jpg,Validation,\r\n\r\na,"6, six.jpg",test,"q"\r\n',
    )
    assert index.layout == "manifest"
    assert index.root == root
    assert index.class_names == ("a", "b")
    assert names_of(index, "train") == ["x/1.jpg", "x/2.jpg"]
    assert names_of(index, "val") == ["y/3.jpg", "y/4.jpg"]
    assert names_of(index, "test") == ["6, six.jpg"]
    assert index.labels[index.splits["val"]].tolist() == [0, 1]


def test_without_a_split_column_the_data_is_split_by_seed(root: Path) -> None:
    index = read(root, "path,label\nx/1.jpg,a\nx/2.jpg,a\ny/3.jpg,b\ny/4.jpg,b\n")
    assert index.class_counts("val").tolist() == [1, 1]
    assert "The data brings no split" in index.notes[0]


def test_a_label_that_is_markup_or_no_utf_8_is_a_class(root: Path) -> None:
    index = read(
        root,
        b"path,label\nx/1.jpg,[/\nx/2.jpg,[/\ny/3.jpg,\xff\ny/4.jpg,\xff\n5.jpg,c\n6%2C,c\n".replace(
            b"6%2C", b'"6, six.jpg"'
        ),
    )
    assert index.class_names == ("[/", "c", "\udcff")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "starts with nothing"),
        ("file,class\nx/1.jpg,a\n", "starts with file, class"),
        ("path,label\nx/1.jpg\n", "row 2, has 1 field"),
        ("path,label\nx/1.jpg,\n", "row 2, has an empty label"),
        ("path,label\n,a\n", "row 2, has an empty path"),
        ("path,label,split\nx/1.jpg,a,dev\n", "row 2, has the split 'dev'"),
        ("path,label,split\nx/1.jpg,a,\n", "row 2, has the split ''"),
        ("path,label\n../1.jpg,a\n", "row 2, names ../1.jpg, which is not inside the data"),
        ("path,label\n/x/1.jpg,a\n", "row 2, names /x/1.jpg, which is not inside the data"),
        ("path,label\nx/1.jpg,a\nx/./1.jpg,b\n", "x/1.jpg is named twice"),
        ("path,label\nx/1.jpg,a\nx/9.jpg,b\n", "1 file of 2 cannot be found"),
        ('path,label\n"x/1.jpg,a\n', "is not CSV"),
        ("path,label\nx/1.jpg,a\nx/2.jpg,a\n", "one class only, 'a'"),
        ("path,label\n", "there are no photos"),
        ("path,label,split\nx/1.jpg,a,val\nx/2.jpg,b,val\n", "but not in train"),
    ],
)
def test_what_is_wrong_is_told_by_its_row(root: Path, text: str, told: str) -> None:
    assert told in fault(root, text)


def test_binary_is_told_and_not_raised(root: Path) -> None:
    assert "list.csv" in fault(root, bytes(range(256)) * 4)


def test_an_absent_manifest_is_told(root: Path) -> None:
    with pytest.raises(UsageError, match=r"the manifest .*no.csv is absent"):
        build_index(DataConfig(root=str(root), manifest="no.csv"), 0)


def test_a_folder_is_no_manifest(root: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        build_index(DataConfig(root=str(root), manifest="x"), 0)

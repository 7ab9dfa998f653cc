from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ecotui.engine.describe import describe
from ecotui.errors import UsageError
from ecotui.events import DatasetDescribed, Event, SetupAdvanced
from ecotui.jobs import DescribeJob


def described(root: Path) -> DatasetDescribed:
    stated: list[Event] = []
    describe(DescribeJob(data_root=str(root)), stated.append)
    first, second = stated
    assert isinstance(first, SetupAdvanced)
    assert isinstance(second, DatasetDescribed)
    return second


def write(root: Path, name: str, sizes: list[tuple[int, int]]) -> None:
    (root / name).mkdir(parents=True)
    for number, size in enumerate(sizes):
        Image.new("L", size).save(root / name / f"{number:03d}.png")


def test_classes_split_and_sizes_are_stated(tmp_path: Path) -> None:
    write(tmp_path, "a", [(10, 20)] * 10)
    write(tmp_path, "b\x1b[31m", [(30, 5)] * 5)
    event = described(tmp_path)
    assert event.layout == "classes"
    assert event.class_names == ("a", r"b\e[31m")
    assert event.num_classes == 2
    assert (event.num_train, event.num_val, event.num_test) == (12, 3, 0)
    assert (event.smallest_class, event.largest_class) == (5, 10)
    assert (event.median_width, event.median_height) == (10, 20)


def test_files_that_cannot_be_read_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "a", [(10, 20)] * 2)
    write(tmp_path, "b", [(10, 20)] * 2)
    for number in range(10):
        (tmp_path / "b" / f"bad{number}.png").write_bytes(b"no")
    assert described(tmp_path).median_width == 10


def test_files_of_which_none_is_a_photo_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(b"no")
    with pytest.raises(UsageError, match="none of 6 files looked at") as caught:
        described(tmp_path)
    assert "not a photo in a known format" in caught.value.what


def test_at_most_200_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, [(3, 4)] * 150)
    looked_at: list[Path] = []

    def size(path: Path) -> tuple[int, int]:
        looked_at.append(path)
        return (3, 4)

    monkeypatch.setattr("ecotui.engine.describe.read_size", size)
    assert described(tmp_path).num_train == 240
    assert len(set(looked_at)) == len(looked_at) == 200
    assert {path.parent.name for path in looked_at} == {"a", "b"}


def test_at_most_100_class_names_are_stated(tmp_path: Path) -> None:
    for number in range(101):
        write(tmp_path, f"c{number:03d}", [(1, 1)] * 2)
    event = described(tmp_path)
    assert event.num_classes == 101
    assert event.class_names == tuple(f"c{number:03d}" for number in range(100))


def test_a_folder_that_is_no_data_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no photos"):
        described(tmp_path)


def test_it_needs_neither_torch_nor_timm() -> None:
    code = (
        "import sys, ecotui.engine.describe\n"
        "print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.config import DataConfig
from ecotui.engine.data.index import DataIndex, Names, build_index, write_split
from ecotui.errors import ExitCode, UsageError

Layout = dict[str, list[str]]


def touch(root: Path, *names: str | bytes) -> Path:
    """Make files that only look like photos: the index never opens one."""
    for name in names:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x")
    return root


def index_of(root: Path, seed: int = 0, **settings: object) -> DataIndex:
    return build_index(DataConfig.model_validate({"root": str(root), **settings}), seed)


def fault(root: Path | str, **settings: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        build_index(DataConfig.model_validate({"root": str(root), **settings}), 0)
    assert caught.value.exit_code is ExitCode.USAGE
    for line in caught.value.lines():
        assert line.isprintable()
        assert len(line) > 12
    return caught.value


def names_of(index: DataIndex, split: str) -> list[str]:
    return [index.names[i] for i in index.splits[split].tolist()]  # type: ignore[index]


def photos(name: str, count: int) -> list[str]:
    return [f"{name}/{number}.jpg" for number in range(count)]


class TestClassFolders:
    def test_sub_folders_belong_to_the_class_above(self, photo_folder: Path) -> None:
        index = index_of(photo_folder)
        assert index.layout == "classes"
        assert index.class_names == ("cat", "dog", "owl")
        assert index.root == photo_folder
        assert len(index.names) == 24
        assert "cat/default/01.png" in list(index.names)
        assert index.path_of(0).is_file()
        for sample_id, label in enumerate(index.labels.tolist()):
            assert index.names[sample_id].startswith(index.class_names[label] + "/")

    def test_ids_are_ranks_by_bytes(self, tmp_path: Path) -> None:
        index = index_of(touch(tmp_path, "a/é.png", "a/z.png", "a/Z.png", "a.b/1.png", "a.b/2.png"))
        assert list(index.names) == ["a.b/1.png", "a.b/2.png", "a/Z.png", "a/z.png", "a/é.png"]

    def test_the_split_is_stratified_complete_and_told(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 10), *photos("b", 20))
        index = index_of(tmp_path, val_fraction=0.2, test_fraction=0.1)
        assert index.class_counts("train").tolist() == [7, 14]
        assert index.class_counts("val").tolist() == [2, 4]
        assert index.class_counts("test").tolist() == [1, 2]
        joined = np.concatenate([index.splits[split] for split in ("train", "val", "test")])
        assert sorted(joined.tolist()) == list(range(30))
        assert all(np.all(np.diff(ids) > 0) for ids in index.splits.values())
        assert "20% of each class were set apart for validation and 10%" in index.notes[0]

    def test_test_is_empty_unless_asked_for(self, photo_folder: Path) -> None:
        index = index_of(photo_folder)
        assert set(index.splits) == {"train", "val", "test"}
        assert len(index.splits["test"]) == 0
        assert index.splits["test"].dtype == np.int64

    def test_the_order_of_the_file_system_does_not_matter(
        self, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = index_of(photo_folder, seed=3)
        scandir = os.scandir

        class Reversed:
            def __init__(self, path: str) -> None:
                with scandir(path) as entries:
                    self.entries = iter(sorted(entries, key=lambda e: e.name, reverse=True))

            def __enter__(self) -> Reversed:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def __iter__(self) -> Reversed:
                return self

            def __next__(self) -> os.DirEntry[str]:
                return next(self.entries)

        monkeypatch.setattr(os, "scandir", Reversed)
        found = index_of(photo_folder, seed=3)
        assert list(found.names) == list(expected.names)
        assert found.splits["val"].tolist() == expected.splits["val"].tolist()

    def test_the_place_of_the_folder_does_not_matter(self, tmp_path: Path) -> None:
        one = touch(tmp_path / "one", *photos("a", 9), *photos("b", 9))
        two = Path(shutil.copytree(one, tmp_path / "two"))
        assert names_of(index_of(one, seed=5), "val") == names_of(index_of(two, seed=5), "val")
        assert names_of(index_of(one, seed=5), "val") != names_of(index_of(one, seed=6), "val")

    def test_endings_are_known_in_any_case_and_others_are_told(self, tmp_path: Path) -> None:
        touch(tmp_path, "a/1.JPG", "a/2.Jpeg", "a/3.png", "a/4.WebP", "b/5.BMP", "b/6.gif")
        touch(tmp_path, "b/7.tif", "b/8.TIFF", "b/notes.txt", "b/none", "README.md", "a/x.heic")
        index = index_of(tmp_path)
        assert len(index.names) == 8
        told = " ".join(index.notes)
        assert "4 files that are not photos by their names" in told
        assert ".heic" in told
        assert ".txt" in told

    def test_hidden_files_and_folders_are_passed_over_and_told(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 2), *photos("b", 2))
        touch(tmp_path, ".git/1.png", "a/.thumbs/1.png", "a/._0.jpg", ".DS_Store")
        index = index_of(tmp_path)
        assert len(index.names) == 4
        assert "Passed over 4 hidden files or folders." in index.notes

    def test_photos_beside_the_class_folders_are_told(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 2), *photos("b", 2), "stray.jpg")
        assert "Passed over 1 photo in no class folder." in index_of(tmp_path).notes

    def test_a_class_may_be_called_train(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("train", 2), *photos("car", 2), *photos("plane", 2))
        index = index_of(tmp_path)
        assert index.layout == "classes"
        assert index.class_names == ("car", "plane", "train")

    def test_linked_files_and_class_folders_count(self, tmp_path: Path) -> None:
        store = touch(tmp_path / "store", *photos("cats", 3), "dog.jpg")
        root = touch(tmp_path / "data", *photos("dogs", 2))
        (root / "cats").symlink_to(store / "cats")
        (root / "dogs" / "linked.jpg").symlink_to(store / "dog.jpg")
        index = index_of(root)
        assert index.class_names == ("cats", "dogs")
        assert "cats/2.jpg" in list(index.names)
        assert "dogs/linked.jpg" in list(index.names)

    def test_links_that_lead_back_end(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 2), *photos("b", 2))
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
        (tmp_path / "b" / "self").symlink_to("self")
        index = index_of(tmp_path)
        assert len(index.names) == 4
        assert any("Did not follow linked folders" in note for note in index.notes)

    @pytest.mark.parametrize(
        "name",
        ["[", "[red]", "[@click=app.quit]x", "a\x1b[31mb", "a\nb", "a\rb", " a ", "#a", "a,\"b'"],
    )
    def test_hostile_class_names_are_classes(self, tmp_path: Path, name: str) -> None:
        touch(tmp_path, *photos(name, 3), *photos("plain", 3))
        index = index_of(tmp_path)
        assert set(index.class_names) == {name, "plain"}
        assert all(index.path_of(i).is_file() for i in range(6))
        shutil.rmtree(tmp_path / "plain")
        assert "\n" not in fault(tmp_path).what

    def test_a_class_name_that_is_not_utf_8_is_a_class(self, tmp_path: Path) -> None:
        touch(tmp_path, b"\xff\xfe/1.png", b"\xff\xfe/\xe9.png", *photos("plain", 2))
        index = index_of(tmp_path)
        assert index.class_names == ("plain", "\udcff\udcfe")
        assert [index.path_of(i).is_file() for i in range(4)] == [True] * 4
        shutil.rmtree(tmp_path / "plain")
        assert r"'\xff\xfe'" in fault(tmp_path).what


class TestSplitFolders:
    @pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
    def test_the_given_split_is_kept(self, tmp_path: Path, val: str) -> None:
        touch(tmp_path, "train/a/x/1.png", "train/b/2.png", f"{val}/a/3.png", f"{val}/b/4.png")
        index = index_of(tmp_path)
        assert index.layout == "splits"
        assert names_of(index, "train") == ["train/a/x/1.png", "train/b/2.png"]
        assert names_of(index, "val") == [f"{val}/a/3.png", f"{val}/b/4.png"]
        assert names_of(index, "test") == []
        assert index.notes == ()

    def test_labels_go_by_name_and_not_by_position(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("train/a", 1), *photos("train/b", 1), *photos("train/c", 1))
        touch(tmp_path, *photos("val/a", 1), *photos("val/b", 1), *photos("val/c", 1))
        touch(tmp_path, *photos("test/c", 1))
        index = index_of(tmp_path)
        (test_id,) = index.splits["test"].tolist()
        assert index.class_names[index.labels[test_id]] == "c"

    def test_train_without_val_is_split_and_told(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("train/a", 10), *photos("train/b", 10), *photos("test/a", 3))
        index = index_of(tmp_path, val_fraction=0.3, test_fraction=0.2)
        assert index.layout == "splits"
        assert index.class_counts("val").tolist() == [3, 3]
        assert names_of(index, "test") == photos("test/a", 3)
        assert "brings no validation split: 30%" in index.notes[0]
        assert "testing" not in index.notes[0]

    def test_other_folders_are_told(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            touch(tmp_path, *photos(f"{split}/a", 1), *photos(f"{split}/b", 1))
        touch(tmp_path, "extra/a/1.png")
        assert any("extra" in note for note in index_of(tmp_path).notes)

    def test_a_class_absent_from_validation_is_named(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("train/a", 2), *photos("train/b", 2), *photos("val/a", 2))
        (tmp_path / "val" / "b").mkdir()
        assert "1 class ('b') is in train, but not in validation" in fault(tmp_path).what

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_a_class_that_train_lacks_is_named(self, tmp_path: Path, split: str) -> None:
        for name in ("train", "val"):
            touch(tmp_path, *photos(f"{name}/a", 1), *photos(f"{name}/b", 1))
        touch(tmp_path, f"{split}/B/1.png")
        assert "1 class ('B') is in validation or test, but not in train" in fault(tmp_path).what

    def test_an_empty_class_folder_in_train_is_named(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            touch(tmp_path, *photos(f"{split}/a", 1), *photos(f"{split}/b", 1))
        (tmp_path / "train" / "c" / "default").mkdir(parents=True)
        assert "'train/c'" in fault(tmp_path).what

    def test_two_folders_for_one_split_are_refused(self, tmp_path: Path) -> None:
        for split in ("train", "val", "valid"):
            touch(tmp_path, *photos(f"{split}/a", 1), *photos(f"{split}/b", 1))
        assert "two val folders: val and valid" in fault(tmp_path).what

    def test_a_single_photo_in_train_without_val_is_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("train/a", 2), *photos("train/b", 1))
        assert "'b'" in fault(tmp_path).what

    def test_asked_for_but_not_there(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 2), *photos("b", 2))
        assert "has no train folder" in fault(tmp_path, layout="splits").what


class TestFaults:
    def test_no_root_set(self) -> None:
        assert fault("").what == "data.root is not set"

    def test_no_such_root(self, tmp_path: Path) -> None:
        assert fault(tmp_path / "typo\x1b").what.endswith(r"typo\e does not exist")

    def test_a_root_that_is_no_path(self) -> None:
        assert "is not a path" in fault("/tmp/a\0b").what

    def test_a_root_that_is_a_file(self, tmp_path: Path) -> None:
        touch(tmp_path, "photo.jpg")
        assert fault(tmp_path / "photo.jpg").what.endswith("photo.jpg is a file")

    def test_a_root_below_a_file(self, tmp_path: Path) -> None:
        touch(tmp_path, "photo.jpg")
        assert "cannot be read: Not a directory" in fault(tmp_path / "photo.jpg" / "x").what

    def test_no_images(self, tmp_path: Path) -> None:
        touch(tmp_path, "a/notes.txt", "b/notes.txt")
        told = fault(tmp_path)
        assert "there are no photos in" in told.what
        assert "2 files that are not photos by their names: .txt" in told.what
        assert "jpeg" in told.expected

    def test_an_empty_root(self, tmp_path: Path) -> None:
        assert "there are no photos in" in fault(tmp_path).what

    def test_photos_without_class_folders(self, tmp_path: Path) -> None:
        touch(tmp_path, "1.jpg", "2.jpg")
        assert "2 photos in no class folder" in fault(tmp_path).what

    def test_one_class(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 3))
        assert "there is one class only, 'a'" in fault(tmp_path).what

    def test_a_class_with_a_single_photo(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 3), *photos("b", 1))
        told = fault(tmp_path)
        assert "1 class with fewer than two photos to split: 'b'" in told.what
        assert "remove the folder" in told.remedy

    def test_an_empty_class_folder(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 3), *photos("b", 3))
        (tmp_path / "c").mkdir()
        assert "1 class folder without a photo: 'c'" in fault(tmp_path).what

    def test_many_names_are_cut_short(self, tmp_path: Path) -> None:
        touch(tmp_path, *photos("a", 3), *photos("b", 3))
        for number in range(40):
            (tmp_path / f"empty{number}").mkdir()
        assert "and 35 more" in fault(tmp_path).what

    @pytest.mark.parametrize("forbidden", ["", "b", "b/deep"])
    def test_an_unreadable_folder_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: str
    ) -> None:
        # chmod would not stop root, which tests may run as.
        touch(tmp_path, *photos("a", 3), *photos("b/deep", 3))
        place = os.fsencode(tmp_path / forbidden)
        scandir: Callable[..., object] = os.scandir

        def guarded(path: str | bytes) -> object:
            if os.fsencode(path) == place:
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        assert f"{tmp_path / forbidden} cannot be read: Permission denied" in fault(tmp_path).what


class TestNames:
    @given(st.lists(st.binary(max_size=12)))
    def test_they_are_what_went_in(self, raw: list[bytes]) -> None:
        names = Names(raw)
        assert len(names) == len(raw)
        assert [os.fsencode(name) for name in names] == raw

    def test_beyond_the_end_is_an_index_error(self) -> None:
        names = Names([b"a", b"b"])
        for position in (2, -1):
            with pytest.raises(IndexError):
                names[position]


class TestSplitFile:
    def test_it_has_one_line_a_sample(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            touch(tmp_path / "data", *photos(f"{split}/a", 1), *photos(f"{split}/b", 1))
        write_split(index_of(tmp_path / "data"), tmp_path / "split.csv")
        assert (tmp_path / "split.csv").read_bytes() == (
            b"path,label,split\n"
            b"train/a/0.jpg,a,train\ntrain/b/0.jpg,b,train\n"
            b"val/a/0.jpg,a,val\nval/b/0.jpg,b,val\n"
        )

    def test_the_same_data_set_can_be_read_through_it(self, tmp_path: Path) -> None:
        root = tmp_path / "data"
        for hostile in ("[red]", "a\x1bb", "a\nb", "a\rb", " a ", 'a,"b', "é"):
            touch(root, *photos(hostile, 3))
        touch(root, b"\xff/1.png", b"\xff/2 .png")
        written = index_of(root, test_fraction=0.3)
        write_split(written, tmp_path / "split.csv")
        read = index_of(root, manifest=str(tmp_path / "split.csv"))
        assert read.class_names == written.class_names
        assert list(read.names) == list(written.names)
        assert read.labels.tolist() == written.labels.tolist()
        for split, ids in written.splits.items():
            assert read.splits[split].tolist() == ids.tolist()

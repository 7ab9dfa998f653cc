"""Copies to the byte: only files that may be some are hashed, and a hash decides."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ecotui.engine.audit.alike_content import hash_alike
from ecotui.engine.audit.duplicate_findings import exact_pairs
from ecotui.engine.audit.reading import content_hash, look
from ecotui.engine.audit.records import ROW, Rows
from ecotui.engine.data.index import DataIndex, Names


def _index(root: Path, contents: dict[str, bytes]) -> tuple[DataIndex, Rows]:
    for name, content in contents.items():
        (root / name).write_bytes(content)
    names = Names(sorted(os.fsencode(name) for name in contents))
    labels = np.zeros(len(names), dtype=np.int64)
    splits = {"train": np.arange(len(names)), "val": labels[:0], "test": labels[:0]}
    index = DataIndex(root, "classes", ("a",), names, labels, splits, ())  # type: ignore[arg-type]
    rows = np.zeros(len(names), dtype=ROW)
    for place in range(len(names)):
        path = index.path_of(place)
        rows["size"][place] = path.stat().st_size
        seen = look(path, max_pixels=10_000, wants_colours=False)
        rows["checksum"][place] = seen.checksum
    return index, rows


def test_copies_are_found_and_nothing_else_is_hashed(tmp_path: Path) -> None:
    contents = {"a": b"12345678rest", "b": b"something else", "c": b"12345678rest", "d": b""}
    index, rows = _index(tmp_path, contents)
    assert hash_alike(index, rows, lambda: None) == 2
    assert [(pair.first, pair.second) for pair in exact_pairs(rows)] == [(0, 2)]
    assert not rows["content"][[1, 3]].any()
    assert rows["content"][0].tobytes() == content_hash(tmp_path / "a")
    assert hash_alike(index, rows, lambda: None) == 0


def test_files_of_one_checksum_that_differ_are_no_copies(tmp_path: Path) -> None:
    # The words in another order: their sum is the same.
    index, rows = _index(tmp_path, {"a": b"AAAAAAAABBBBBBBB", "b": b"BBBBBBBBAAAAAAAA"})
    assert rows["checksum"][0] == rows["checksum"][1]
    assert hash_alike(index, rows, lambda: None) == 2
    assert exact_pairs(rows) == []


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23])
def test_one_changed_byte_anywhere_changes_the_checksum(tmp_path: Path, length: int) -> None:
    path = tmp_path / "file"
    content = bytes(range(1, length + 1))
    path.write_bytes(content)
    sound = look(path, max_pixels=1, wants_colours=False).checksum
    for place in range(length):
        changed = bytearray(content)
        changed[place] ^= 0x40
        path.write_bytes(changed)
        assert look(path, max_pixels=1, wants_colours=False).checksum != sound


def test_a_file_that_has_gone_is_no_copy(tmp_path: Path) -> None:
    index, rows = _index(tmp_path, {"a": b"same", "b": b"same"})
    (tmp_path / "b").unlink()
    hash_alike(index, rows, lambda: None)
    assert exact_pairs(rows) == []

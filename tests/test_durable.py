"""Files that are whole or as they were."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from ecotui import durable


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "resolved.toml"
    path.write_bytes(b"old")
    durable.write_whole(path, b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert os.listdir(tmp_path) == ["resolved.toml"]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_where_it_cannot_be_written_the_old_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "resolved.toml"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if failing == "replace" else os, failing, fail)
    with pytest.raises(OSError, match="No space"):
        durable.write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["resolved.toml"]


def test_on_a_mac_the_drive_itself_is_made_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _fd, what: asked.append(("full", what)))
    monkeypatch.setattr(os, "fsync", lambda _fd: asked.append(("fsync", 0)))
    durable.write_whole(tmp_path / "a", b"content")
    assert asked == [("full", 51), ("full", 51)]  # the file, then its name

    def refuse(*_: object) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    asked.clear()
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    durable.write_whole(tmp_path / "a", b"content")
    assert asked == [("fsync", 0), ("fsync", 0)]

"""A checkpoint is there whole or not at all, and tells when it is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine import checkpoint
from ecotui.engine.checkpoint import (
    BadCheckpointError,
    Content,
    commit,
    list_steps,
    step_name,
    verify,
)
from ecotui.engine.manifest import FileRecord, encode_manifest

FILES: dict[str, Content] = {"model.safetensors": [b"weights" * 99, b"weights"], "loop.json": b"{}"}


def test_what_was_committed_verifies_and_gives_its_facts(tmp_path: Path) -> None:
    committed = commit(tmp_path, step_name(tmp_path, 7), FILES, {"step": 7})
    assert verify(committed.path) == {"step": 7}
    assert committed.num_bytes == 702
    assert (committed.path / "model.safetensors").read_bytes() == b"weights" * 100
    assert (committed.path / "loop.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "model.safetensors").write_bytes(b"weightz" * 100),
        lambda path: (path / "model.safetensors").write_bytes(b"w"),
        lambda path: (path / "loop.json").unlink(),
        lambda path: (path / checkpoint.MANIFEST).write_bytes(b"{"),
        lambda path: (path / checkpoint.MANIFEST).unlink(),
        lambda path: (path / checkpoint.MANIFEST).write_bytes(b'{"format": 99}'),
    ],
)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = commit(tmp_path, step_name(tmp_path, 1), FILES, {}).path
    damage(path)
    with pytest.raises(BadCheckpointError):
        verify(path)


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    path = commit(tmp_path, step_name(tmp_path, 1), FILES, {}).path
    record = {"../loop.json": FileRecord(2, "0" * 64)}
    (path / checkpoint.MANIFEST).write_bytes(encode_manifest(record, {}))
    with pytest.raises(BadCheckpointError, match="no name"):
        verify(path)


def test_the_manifest_is_written_last_and_the_name_comes_after_all_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real_sync, real_rename = os.fsync, os.rename

    def sync(descriptor: int) -> None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_sync(descriptor)

    def rename(*names: str, **folders: Any) -> None:
        seen.append("rename")
        real_rename(*names, **folders)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    commit(tmp_path, "step-0000000003-00000000", FILES, {})
    assert seen[:3] == ["model.safetensors", "loop.json", checkpoint.MANIFEST]
    assert seen[3].startswith(".tmp-")
    assert seen[4:] == ["rename", tmp_path.name]


def test_steps_are_ordered_by_name_and_half_written_ones_are_not_listed(tmp_path: Path) -> None:
    paths = [commit(tmp_path, step_name(tmp_path, step), FILES, {}).path for step in (5, 100, 20)]
    (tmp_path / step_name(tmp_path, 999)).mkdir()
    (tmp_path / ".tmp-0123").mkdir()
    os.utime(paths[0], (0, 0))
    assert list_steps(tmp_path) == [paths[1], paths[2], paths[0]]


def test_of_two_states_of_one_step_the_later_one_is_newest(tmp_path: Path) -> None:
    paths = [commit(tmp_path, step_name(tmp_path, 4), FILES, {}).path for _ in range(12)]
    assert list_steps(tmp_path) == paths[::-1]


def test_leftovers_of_a_killed_engine_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    kept = commit(tmp_path, step_name(tmp_path, 1), FILES, {}).path
    (tmp_path / ".tmp-0123").mkdir()
    (tmp_path / ".del-0123").mkdir()
    checkpoint.clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_the_best_of_the_latest_step_is_found(tmp_path: Path) -> None:
    assert checkpoint.find_best(tmp_path / "none") is None
    commit(tmp_path, "best_model_epoch9_acc50.00", FILES, {"step": 9})
    newest = commit(tmp_path, "best_model_epoch10_acc51.00", FILES, {"step": 10}).path
    assert checkpoint.find_best(tmp_path) == newest

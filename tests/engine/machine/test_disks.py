"""Room, speed and kind of the file systems, and the clock against them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ecotui.engine.machine import disks


@pytest.mark.parametrize(
    ("free", "verdict"), [(199_999_999, "fail"), (4_999_999_999, "warn"), (5_000_000_000, "pass")]
)
def test_a_full_disk_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, free))
    assert disks.check_disk(tmp_path / "not" / "there").verdict == verdict


def test_a_place_that_cannot_be_written_to_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    check = disks.check_disk(tmp_path)
    assert check.verdict == "fail"
    assert "Permission denied" in check.what
    assert disks.check_disk_speed(tmp_path).verdict == "note"
    assert disks.check_clock(tmp_path).verdict == "pass"


def test_writing_is_measured_for_a_bounded_time_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, seconds = disks.measure_writing(tmp_path)
    assert 0 < written <= disks.MEASURED_BYTES
    assert seconds > 0
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(disks, "MEASURE_SECONDS", -1.0)
    assert disks.measure_writing(tmp_path)[0] == 0
    monkeypatch.setattr(disks, "measure_writing", lambda folder: (1_000_000, 1.0))
    assert disks.check_disk_speed(tmp_path).verdict == "warn"


def test_a_network_file_system_under_the_runs_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net work" / "runs").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    table = tmp_path / "mounts"
    escaped = str(tmp_path / "net work").replace(" ", "\\040")
    table.write_text(f"/dev/root / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\nbroken\n")
    monkeypatch.setattr(disks, "MOUNTS", table)
    runs, cache = tmp_path / "net work" / "runs" / "not yet", tmp_path / "cache"
    check = disks.check_network_file_system(runs, cache)
    assert check.verdict == "warn"
    assert "nfs4" in check.what
    assert disks.check_network_file_system(cache, runs).verdict == "note"
    assert disks.check_network_file_system(cache, cache).verdict == "pass"
    assert disks.file_system_of(tmp_path / "net workers") == "ext4"
    monkeypatch.setattr(disks, "MOUNTS", tmp_path / "none")
    assert disks.check_network_file_system(runs, cache).verdict == "note"


@pytest.mark.parametrize(
    ("is_reset", "said"), [(True, "the year 1970"), (False, "1 h 00 min ahead of")]
)
def test_a_wrong_clock_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_reset: bool, said: str
) -> None:
    assert disks.check_clock(tmp_path).verdict == "pass"
    now = 0.0 if is_reset else time.time() - 3_600
    monkeypatch.setattr("ecotui.engine.machine.disks.time.time", lambda: now)
    check = disks.check_clock(tmp_path)
    assert check.verdict == "warn"
    assert said in check.what


def test_the_nearest_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    assert disks.existing(tmp_path / "a" / "b") == tmp_path
    assert disks.existing(Path(os.sep)) == Path(os.sep)

from __future__ import annotations

import errno
import os
import shutil
import struct
from pathlib import Path

import pytest

from ecotui.engine.data import content
from ecotui.engine.data.decode import DecodeError
from tests.engine.data.pictures import (
    KEPT_BYTES,
    RECORD_BYTES,
    all_of,
    cache_in,
    counting,
    fill,
    notes,
    pixels_of,
    reading,
    records,
)
from tests.engine.data.test_sources import photo_like

pytestmark = pytest.mark.usefixtures("settled")


def test_a_data_set_that_is_moved_or_copied_finds_its_pictures(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = fill(cache_in(folder), photos)
    copied = Path(shutil.copytree(photos, photos.with_name("copied")))
    moved = photos.rename(photos.with_name("moved"))
    opened = counting(monkeypatch)
    for place in (copied, moved):
        assert fill(cache_in(folder), place) == want
    assert opened == []
    assert len(records(folder)) == 8
    assert len(notes(folder)) == 24


def test_copies_of_a_photo_share_a_picture(photos: Path, folder: Path) -> None:
    first, second, *_ = all_of(photos)
    shutil.copy(first, second)
    fill(cache_in(folder), photos)
    assert len(records(folder)) == 7


def test_a_file_written_anew_under_its_old_time_and_size_is_noticed(
    photos: Path, folder: Path
) -> None:
    one, other = all_of(photos)[:2]
    size = max(path.stat().st_size for path in (one, other))
    for path in (one, other):  # what follows the end of a JPEG is not looked at
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    cache = cache_in(folder)
    before = fill(cache, photos)
    times = one.stat().st_mtime_ns
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(times, times))
    after = fill(cache, photos)
    assert after[0] == before[1] != before[0]


def test_a_file_is_read_once_for_as_long_as_it_stays(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reading(monkeypatch)
    want = fill(cache_in(folder), photos)
    assert read == all_of(photos)
    assert fill(cache_in(folder), photos) == want
    assert len(read) == 8
    os.utime(all_of(photos)[2])
    assert fill(cache_in(folder), photos) == want
    assert read[8:] == [all_of(photos)[2]]


@pytest.mark.parametrize("damage", ["gone", "garbage", "short"])
def test_without_its_note_a_picture_is_found_all_the_same(
    photos: Path, folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = fill(cache_in(folder), photos)
    for note in notes(folder):
        note.unlink()
        if damage != "gone":
            note.symlink_to({"garbage": "../../etc/passwd", "short": "ab"}[damage])
    opened = counting(monkeypatch)
    assert fill(cache_in(folder), photos) == want
    assert opened == []
    assert all(len(os.readlink(note)) == 32 for note in notes(folder))


def test_where_there_are_no_links_it_works_without_notes(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    want = fill(cache_in(folder), photos)
    opened = counting(monkeypatch)
    assert fill(cache_in(folder), photos) == want
    assert (opened, notes(folder), len(records(folder))) == ([], [], 8)
    with cache_in(folder)._room._counted() as descriptor:
        assert descriptor is not None
        assert os.pread(descriptor, 8, 0) == struct.pack("<q", 8 * RECORD_BYTES)


def test_a_note_goes_when_it_is_old_and_stays_young_while_it_is_used(
    photos: Path, folder: Path
) -> None:
    fill(cache_in(folder), photos)
    for path in (*records(folder), *notes(folder)):
        os.utime(path, (1e6, 1e6), follow_symlinks=False)
    cache = cache_in(folder, cap_bytes=9 * KEPT_BYTES)
    for number, path in enumerate(all_of(photos)[:3]):
        cache.open(number, path)
    for number in range(4):
        photo_like(160, 120, 60 + number).save(photos / "cat" / f"new{number}.jpg", quality=90)
        cache.open(3 + number, photos / "cat" / f"new{number}.jpg")
    ages = [path.lstat().st_mtime for path in notes(folder)]
    assert sum(age > 1e6 for age in ages) == 7
    assert len(ages) < 12
    assert sum(path.stat().st_size for path in records(folder)) <= 9 * RECORD_BYTES


def test_a_file_that_fails_midway_is_told(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(DecodeError, match="cannot be read: Input/output error"):
        cache_in(folder).open(0, all_of(photos)[0])


def test_a_note_that_is_wrong_gives_its_picture_to_nobody_else(photos: Path, folder: Path) -> None:
    """As of a file that was written anew within a tick of the clock."""
    one, other = all_of(photos)[:2]
    plain = [pixels_of(cache_in(folder).open(0, path)) for path in (one, other)]
    shutil.rmtree(folder)
    said = content.identity_of(one)
    note = Path(content.place_of(str(folder), said.name))
    note.parent.mkdir(parents=True)
    note.symlink_to(content.digest_of(other, content.identity_of(other)).hex())
    assert pixels_of(cache_in(folder).open(0, one)) == plain[0]
    assert not note.is_symlink()
    assert records(folder) == []
    assert [pixels_of(cache_in(folder).open(0, path)) for path in (one, other)] == plain


def test_a_file_that_was_written_just_now_is_not_noted(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "SETTLED_SECONDS", 3_600.0)
    cache = cache_in(folder)
    want = fill(cache, photos)
    assert (len(records(folder)), notes(folder)) == (8, [])
    read = reading(monkeypatch)
    assert fill(cache, photos) == want
    assert len(read) == 8
    monkeypatch.setattr(content, "SETTLED_SECONDS", -1.0)
    assert fill(cache, photos) == fill(cache, photos) == want
    assert (len(read), len(notes(folder))) == (16, 8)


def test_what_is_not_kept_is_read_once_by_a_process_to_know_it(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = all_of(photos)[0]
    broken.write_bytes(broken.read_bytes()[:40])
    cache = cache_in(folder, cap_bytes=3 * KEPT_BYTES)
    read = reading(monkeypatch)
    for _ in range(3):
        with pytest.raises(DecodeError):
            cache.open(0, broken)
        for number, path in enumerate(all_of(photos)[1:], start=1):
            cache.open(number, path)
    assert len(records(folder)) == 3
    assert read == all_of(photos)


def test_a_very_large_file_is_known_by_its_place_and_not_read_for_it(
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_READ_BYTES", 10)
    want = fill(cache_in(folder), photos)
    monkeypatch.setattr(os, "read", None)
    opened = counting(monkeypatch)
    assert fill(cache_in(folder), photos) == want
    assert opened == []
    moved = photos.rename(photos.with_name("moved"))
    assert fill(cache_in(folder), moved) == want
    assert len(opened) == 8


def test_its_folders_are_its_owners_whatever_the_umask(photos: Path, folder: Path) -> None:
    before = os.umask(0)
    try:
        fill(cache_in(folder), photos)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} <= {
        0o700,
        0o600,
    }

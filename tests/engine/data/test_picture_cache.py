from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import struct
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.config import AugmentConfig, DataConfig
from ecotui.engine.data import content, picture_cache, room
from ecotui.engine.data.dataset import PhotoDataset, Sample
from ecotui.engine.data.decode import DecodeError
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.picture_cache import Picture, PictureCache, shrunk
from ecotui.engine.data.sources import open_source
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec
from tests.engine.data.test_sources import photo_like

SIDE = 48
CAP = 50_000_000
NUM_A_CLASS = 4
RECORD_BYTES = 64 + 64 * 48 * 3
"""Of a photo of 160 by 120."""
KEPT_BYTES = RECORD_BYTES + room.Room.LINK_BYTES
"""With the note of its file."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(2 * NUM_A_CLASS):
        path = root / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        photo_like(160, 120, number).save(path, quality=90)
    return root


@pytest.fixture
def photos(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "photos"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written a moment ago count as old: what is noted of them is tested at once."""
    monkeypatch.setattr(content, "SETTLED_SECONDS", -1.0)


def cache_in(folder: Path, *, cap_bytes: int = 10**9, side: int = SIDE) -> PictureCache:
    return PictureCache(
        folder, side=side, cap_bytes=cap_bytes, max_pixels=CAP, num_samples=2 * NUM_A_CLASS
    )


def all_of(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.jpg"))


def fill(cache: PictureCache, photos: Path) -> list[bytes]:
    return [pixels_of(cache.open(number, path)) for number, path in enumerate(all_of(photos))]


def pixels_of(source: Any) -> bytes:
    assert isinstance(source, Picture)
    return source.rgb_HWC.tobytes() + repr((source.rgb_HWC.shape, source.full_size)).encode()


def records(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("??/*") if not path.name.startswith("."))
    return sorted(path for path in found if not path.is_symlink())


def notes(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("??/*") if path.is_symlink())


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are decoded from here on."""
    opened: list[Path] = []

    def watched(path: Path, *, max_pixels: int) -> Any:
        opened.append(path)
        return open_source(path, max_pixels=max_pixels)

    monkeypatch.setattr(picture_cache, "open_source", watched)
    return opened


def reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read from here on to know what they hold."""
    read: list[Path] = []

    def watched(path: Path, identity: content.Identity) -> bytes:
        read.append(path)
        return content.digest_of(path, identity)

    monkeypatch.setattr(picture_cache, "digest_of", watched)
    return read


class TestPictures:
    def test_the_shorter_side_is_brought_down_and_the_photo_upright(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        photo_like(400, 203).save(tmp_path / "a.jpg", exif=exif, quality=95)
        picture = shrunk(open_source(tmp_path / "a.jpg", max_pixels=CAP), 48)
        assert picture.full_size == (203, 400)
        assert picture.rgb_HWC.shape == (95, 48, 3)
        upright = photo_like(400, 203).transpose(Image.Transpose.ROTATE_270)
        want = np.asarray(upright.resize((48, 95), Image.Resampling.LANCZOS)).astype(int)
        assert np.abs(picture.rgb_HWC - want).mean() < 3

    def test_a_small_photo_stays_as_it_is(self, photos: Path) -> None:
        source = open_source(all_of(photos)[0], max_pixels=CAP)
        picture = shrunk(source, 120)
        assert np.array_equal(picture.rgb_HWC, source.pixels(1.0).stored_HWC)

    def test_crops_of_it_are_those_of_the_photo(self, photos: Path) -> None:
        spec = InputSpec(24, (0.5,) * 3, (0.5,) * 3, "bilinear", 0.9)
        transforms = build_transforms(spec, AugmentConfig(color_jitter=0.0))
        source = open_source(all_of(photos)[0], max_pixels=CAP)
        differences = []
        for seed in range(20):
            seen = []
            for each in (source, shrunk(source, SIDE)):
                torch.manual_seed(seed)
                picture_cache_seed(seed)
                seen.append(transforms.train.of(each).double())  # type: ignore[attr-defined]
            differences.append(float((seen[0] - seen[1]).abs().mean()))
        assert max(differences) < 9
        assert np.mean(differences) < 4


def picture_cache_seed(seed: int) -> None:
    import random

    random.seed(seed)


class TestKeeping:
    def test_what_was_kept_is_not_decoded_again_and_has_the_same_bits(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = fill(cache_in(folder), photos)
        assert len(records(folder)) == len(first) == 8
        opened = counting(monkeypatch)
        assert fill(cache_in(folder), photos) == first
        assert opened == []
        shutil.rmtree(folder)
        assert fill(cache_in(folder), photos) == first
        assert len(opened) == 8

    def test_its_files_are_plain_and_its_owners(self, photos: Path, folder: Path) -> None:
        fill(cache_in(folder), photos)
        (path, *_) = records(folder)
        assert path.stat().st_size == RECORD_BYTES
        assert path.stat().st_mode & 0o077 == 0

    def test_a_changed_file_is_noticed(self, photos: Path, folder: Path) -> None:
        cache = cache_in(folder)
        before = fill(cache, photos)
        photo_like(160, 120, 99).save(all_of(photos)[3], quality=90)
        after = fill(cache, photos)
        assert [one == other for one, other in zip(before, after, strict=True)] == [
            number != 3 for number in range(8)
        ]

    def test_a_file_changed_while_it_is_read_is_not_kept(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = all_of(photos)[0]

        def changing(path: Path, *, max_pixels: int) -> Any:
            source = open_source(path, max_pixels=max_pixels)
            os.utime(path, (1, 1))
            return source

        monkeypatch.setattr(picture_cache, "open_source", changing)
        cache_in(folder).open(0, path)
        assert records(folder) == []

    def test_what_is_wrong_with_a_file_is_told_as_without_a_cache(
        self, photos: Path, folder: Path
    ) -> None:
        cache = cache_in(folder)
        fill(cache, photos)
        short, gone, *_ = all_of(photos)
        content = short.read_bytes()
        short.write_bytes(content[: len(content) // 2])
        gone.unlink()
        for number, path in enumerate((short, gone)):
            with pytest.raises(DecodeError) as with_cache:
                cache.open(number, path)
            with pytest.raises(DecodeError) as without:
                open_source(path, max_pixels=CAP).pixels(1.0)
            assert with_cache.value.reason == without.value.reason

    def test_sides_do_not_mix(self, photos: Path, folder: Path) -> None:
        fill(cache_in(folder), photos)
        (wide, *_) = [cache_in(folder, side=60).open(0, all_of(photos)[0])]
        assert isinstance(wide, Picture)
        assert wide.rgb_HWC.shape == (60, 80, 3)
        assert len(records(folder)) == 9

    def test_a_very_long_photo_is_read_as_it_is(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(picture_cache, "MAX_PICTURE_BYTES", 64 * 48 * 3 - 1)
        source = cache_in(folder).open(0, all_of(photos)[0])
        assert not isinstance(source, Picture)
        assert records(folder) == []

    def test_a_folder_that_cannot_be_written_is_no_fault(self, photos: Path, folder: Path) -> None:
        want = fill(cache_in(folder), photos)
        shutil.rmtree(folder)
        folder.write_text("a file")
        assert fill(cache_in(folder), photos) == want


class TestContent:
    def test_a_data_set_that_is_moved_or_copied_finds_its_pictures(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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

    def test_copies_of_a_photo_share_a_picture(self, photos: Path, folder: Path) -> None:
        first, second, *_ = all_of(photos)
        shutil.copy(first, second)
        fill(cache_in(folder), photos)
        assert len(records(folder)) == 7

    def test_a_file_written_anew_under_its_old_time_and_size_is_noticed(
        self, photos: Path, folder: Path
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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
        self, photos: Path, folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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
        self, photos: Path, folder: Path
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "read", broken)
        with pytest.raises(DecodeError, match="cannot be read: Input/output error"):
            cache_in(folder).open(0, all_of(photos)[0])

    def test_a_note_that_is_wrong_gives_its_picture_to_nobody_else(
        self, photos: Path, folder: Path
    ) -> None:
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
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

    def test_its_folders_are_its_owners_whatever_the_umask(
        self, photos: Path, folder: Path
    ) -> None:
        before = os.umask(0)
        try:
            fill(cache_in(folder), photos)
        finally:
            os.umask(before)
        assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} <= {
            0o700,
            0o600,
        }


class TestTornRecords:
    @pytest.mark.parametrize("keeps", [0, 10, 63, 64, 65, 1000, RECORD_BYTES - 1])
    @pytest.mark.parametrize("fills", ["cut", "zeros", "garbage"])
    def test_a_torn_one_is_not_used(
        self, photos: Path, folder: Path, keeps: int, fills: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        want = fill(cache_in(folder), photos)
        (path, *_) = records(folder)
        whole = path.read_bytes()
        rest = {"cut": b"", "zeros": bytes(len(whole) - keeps), "garbage": whole[keeps:][::-1]}
        torn = whole[:keeps] + rest[fills]
        if torn == whole:
            return
        path.write_bytes(torn)
        opened = counting(monkeypatch)
        assert fill(cache_in(folder), photos) == want
        assert len(opened) == 1
        assert path.read_bytes() == whole  # and it is whole again

    @pytest.mark.parametrize("given", [None, 0, 30, 1000])
    def test_one_that_the_disk_does_not_give_back_is_made_again(
        self, photos: Path, folder: Path, given: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        want = fill(cache_in(folder), photos)
        cache = cache_in(folder)
        pread = os.pread

        def failing(descriptor: int, count: int, offset: int) -> bytes:
            if count != RECORD_BYTES:
                return pread(descriptor, count, offset)
            if given is None:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return pread(descriptor, given, offset)

        monkeypatch.setattr(os, "pread", failing)
        opened = counting(monkeypatch)
        assert fill(cache, photos) == want
        assert len(opened) == 8

    def test_one_that_is_cut_off_while_it_is_known_is_made_again(
        self, photos: Path, folder: Path
    ) -> None:
        cache = cache_in(folder)
        want = fill(cache, photos)
        assert fill(cache, photos) == want
        os.truncate(records(folder)[0], RECORD_BYTES // 2)
        assert fill(cache, photos) == want

    def test_what_is_too_large_to_be_one_is_not_read(self, photos: Path, folder: Path) -> None:
        want = fill(cache_in(folder), photos)
        (path, *_) = records(folder)
        os.truncate(path, 1 << 40)  # a hole: more than there is memory
        assert fill(cache_in(folder), photos) == want
        assert path.stat().st_size == RECORD_BYTES

    def test_one_of_another_photo_is_not_used(self, photos: Path, folder: Path) -> None:
        want = fill(cache_in(folder), photos)
        one, other, *_ = records(folder)
        shutil.copy(other, one)
        assert fill(cache_in(folder), photos) == want

    def test_every_write_may_be_the_last(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        want = fill(cache_in(folder), photos)
        shutil.rmtree(folder)
        write = os.write
        for stops_after in range(4):
            left = [stops_after]

            def dying(descriptor: int, content: Any, left: list[int] = left) -> int:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                return write(descriptor, content[: max(1, len(content) // 2)])

            with monkeypatch.context() as patch:
                patch.setattr(os, "write", dying)
                with pytest.raises(KeyboardInterrupt):
                    fill(cache_in(folder), photos)
            assert records(folder) == []
        assert fill(cache_in(folder), photos) == want


def _fill_for_ever(folder: Path, photos: Path) -> None:
    while True:
        fill(cache_in(folder), photos)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, photos: Path, cap_bytes: int, told: Any) -> None:
    told.put([hash_of(each) for each in fill(cache_in(folder, cap_bytes=cap_bytes), photos)])


def hash_of(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


@pytest.mark.timeout(120)
def test_a_kill_at_any_moment_leaves_nothing_wrong(photos: Path, folder: Path) -> None:
    want = fill(cache_in(folder), photos)
    context = multiprocessing.get_context("fork")
    for round_ in range(8):
        process = context.Process(target=_fill_for_ever, args=(folder, photos))
        process.start()
        time.sleep(0.03 + 0.011 * round_)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert fill(cache_in(folder), photos) == want


@pytest.mark.timeout(120)
@pytest.mark.parametrize("num_fitting", [100, 3])
def test_several_fill_it_at_once(photos: Path, folder: Path, num_fitting: int) -> None:
    want = [hash_of(each) for each in fill(cache_in(folder.with_name("own")), photos)]
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    cap = num_fitting * KEPT_BYTES
    several = [context.Process(target=_fill, args=(folder, photos, cap, told)) for _ in range(3)]
    for process in several:
        process.start()
    assert [told.get(timeout=60) for _ in several] == [want] * 3
    for process in several:
        process.join()
    kept = sum(path.stat().st_size for path in records(folder))
    assert kept <= cap
    assert len(records(folder)) == min(8, num_fitting)
    assert not list(folder.glob("??/.*"))


class TestRoom:
    def test_the_cap_holds_and_what_was_used_longest_ago_goes(
        self, photos: Path, folder: Path
    ) -> None:
        fill(cache_in(folder), photos)
        ages = {path: 1_000_000.0 + number for number, path in enumerate(records(folder))}
        for path, at in ages.items():
            os.utime(path, (at, at))
        oldest = sorted(ages, key=lambda path: ages[path])
        cap = 5 * KEPT_BYTES
        photo_like(160, 120, 50).save(photos / "cat" / "new.jpg", quality=90)
        cache = PictureCache(folder, side=SIDE, cap_bytes=cap, max_pixels=CAP, num_samples=9)
        cache.open(8, photos / "cat" / "new.jpg")
        left = records(folder)
        assert sum(path.stat().st_size for path in left) <= cap
        assert not set(oldest[:4]) & set(left)
        assert set(oldest[-3:]) <= set(left)

    def test_what_this_run_uses_is_not_pushed_out_by_it(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = cache_in(folder, cap_bytes=3 * KEPT_BYTES)
        fill(cache, photos)
        kept = records(folder)
        assert len(kept) == 3
        monkeypatch.setattr(room, "_REST_SECONDS", 0.0)
        fill(cache, photos)
        assert records(folder) == kept

    def test_a_reservation_of_the_dead_is_found_out(self, photos: Path, folder: Path) -> None:
        cap = 4 * KEPT_BYTES
        claimed = room.Room(folder, cap)
        assert claimed.take(cap)  # and is killed
        cache = cache_in(folder, cap_bytes=cap)
        cache.open(0, all_of(photos)[0])
        assert len(records(folder)) == 1

    def test_a_full_cache_is_counted_ever_more_rarely(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, counted = [0.0], list[float]()
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        full = room.Room(folder, 100)
        assert full.take(90)

        def emptied(_: int) -> int:
            counted.append(now[0])
            return 95

        monkeypatch.setattr(full, "_emptied", emptied)
        for minute in range(24 * 60):
            now[0] = 60.0 * minute
            assert not full.take(20)
        between = [after - before for before, after in pairwise(counted)]
        assert between == sorted(between)
        assert between[0] == 60.0
        assert between[-1] == 3_600.0

    def test_a_full_disk_is_left_alone(
        self, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "free_bytes", lambda _: room.SPARED_BYTES + 1)
        fill(cache_in(folder), photos)
        assert records(folder) == []

    def test_who_holds_the_lock_holds_nobody_up(self, photos: Path, folder: Path) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        holder = context.Process(target=_hold, args=(folder, theirs))
        holder.start()
        ours.recv()
        started = time.monotonic()
        fill(cache_in(folder), photos)
        assert time.monotonic() - started < 5.0
        holder.kill()
        holder.join()

    def test_temporary_files_of_the_dead_are_removed(self, photos: Path, folder: Path) -> None:
        fill(cache_in(folder), photos)
        left = records(folder)[0].parent / f"{room.Room.TEMPORARY}1-ab"
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
        (folder / "sum").unlink()
        assert room.Room(folder, 10**9).take(1)
        assert not left.exists()


def _hold(folder: Path, told: Any) -> None:
    with room.Room(folder, 10**9)._counted() as descriptor:
        assert descriptor is not None
        told.send("held")
        time.sleep(600)


@pytest.fixture
def index(photos: Path) -> DataIndex:
    return build_index(DataConfig(root=str(photos), val_fraction=0.25), 0)


def test_a_sample_is_a_function_of_its_key_whatever_becomes_of_the_cache(
    index: DataIndex, folder: Path
) -> None:
    spec = InputSpec(24, (0.5,) * 3, (0.5,) * 3, "bilinear", 0.9)
    transform = build_transforms(spec, AugmentConfig()).train

    def samples(cache: PictureCache | None) -> list[torch.Tensor]:
        data = PhotoDataset(index, transform, seed=3, max_pixels=CAP, cache=cache)
        found = [data[1, number] for number in range(len(index.names))]
        assert all(isinstance(each, Sample) for each in found)
        return [each.image_CHW for each in found if isinstance(each, Sample)]

    cache = cache_in(folder)
    first = samples(cache)
    for path in records(folder)[::2]:
        path.unlink()
    for other in (cache, cache_in(folder), cache_in(folder, cap_bytes=1)):
        assert all(map(torch.equal, first, samples(other)))
    assert not all(map(torch.equal, first, samples(None)))

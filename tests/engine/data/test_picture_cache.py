from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.config import AugmentConfig, DataConfig
from ecotui.engine.data import picture_cache
from ecotui.engine.data.dataset import PhotoDataset, Sample
from ecotui.engine.data.decode import DecodeError
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.picture_cache import Picture, PictureCache, shrunk
from ecotui.engine.data.sources import open_source
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec
from tests.engine.data.pictures import (
    CAP,
    KEPT_BYTES,
    RECORD_BYTES,
    SIDE,
    all_of,
    cache_in,
    counting,
    fill,
    records,
)
from tests.engine.data.test_sources import photo_like

pytestmark = pytest.mark.usefixtures("settled")


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

"""Whether a run keeps pictures, and at which side, is chosen by what fits, and never held up."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ecotui.config import DataConfig
from ecotui.engine.data import cache_choice, decode
from ecotui.engine.data.cache_choice import cache_folder, choose_cache
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.room import SPARED_BYTES
from tests.engine.data.test_sources import photo_like


@pytest.fixture
def index(tmp_path: Path) -> DataIndex:
    for number in range(8):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo_like(160, 120, number).save(path, quality=90)
    return build_index(DataConfig(root=str(tmp_path / "photos"), val_fraction=0.25), 0)


@pytest.fixture(autouse=True)
def _large_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_choice, "read_size", lambda _: (4000, 3000))


def choose(index: DataIndex, epochs: int = 20, **settings: Any) -> tuple[bool, int]:
    config = DataConfig(root=str(index.root), **settings)
    choice = choose_cache(config, index, image_size=224, epochs=epochs)
    assert bool(choice.note) == (choice.is_on and config.cache == "auto")
    return choice.is_on, choice.side


def test_it_is_chosen_where_all_fits(index: DataIndex) -> None:
    assert choose(index) == (True, 448)


def test_a_smaller_side_is_chosen_where_only_that_fits(index: DataIndex) -> None:
    large, small = (8 * (597 * 448 * 3 + 64) / 1e9, 8 * (448 * 336 * 3 + 64) / 1e9)
    assert choose(index, cache_gb=large) == (True, 448)
    assert choose(index, cache_gb=large * 0.99) == (True, 336)
    assert choose(index, cache_gb=small) == (True, 336)
    assert choose(index, cache_gb=small * 0.19) == (False, 448)


def test_of_large_photos_a_part_is_kept_where_not_all_fit(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = 8 * (448 * 336 * 3 + 64) / 1e9
    assert choose(index, cache_gb=small * 0.5) == (True, 336)
    config = DataConfig(root=str(index.root), cache_gb=small * 0.5)
    note = choose_cache(config, index, image_size=224, epochs=20).note
    assert "50% of 8 photos fit, are decoded once and kept" in note
    free = SPARED_BYTES + int(small * 1e9)  # half of it for pictures: the disk is the limit
    monkeypatch.setattr(cache_choice, "free_bytes", lambda _: free)
    assert choose(index) == (False, 448)
    monkeypatch.setattr(cache_choice, "free_bytes", lambda _: None)
    monkeypatch.setattr(cache_choice, "read_size", lambda _: (512, 384))
    assert choose(index, cache_gb=small * 0.5) == (False, 448)


def test_photos_that_do_not_come_are_not_waited_for(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, real, polls = threading.Event(), decode.open_regular, list[int]()

    def open_regular(path: str | Path) -> int:
        if os.fspath(path) != os.fspath(index.path_of(7)):
            release.wait(30.0)
        return real(path)

    monkeypatch.setattr(decode, "open_regular", open_regular)
    monkeypatch.setattr(cache_choice, "_PHOTO_SECONDS", 0.2)
    config = DataConfig(root=str(index.root))

    def chosen() -> bool:
        return choose_cache(config, index, lambda: polls.append(1), image_size=224, epochs=20).is_on

    try:
        started = time.monotonic()
        assert chosen()  # by the one that came
        monkeypatch.setattr(cache_choice, "_SAMPLING_SECONDS", 0.5)
        assert not chosen()
        assert time.monotonic() - started < 10.0
    finally:
        release.set()
    assert len(polls) >= 7


def test_a_request_is_heard_while_photos_are_waited_for(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, real = threading.Event(), decode.open_regular

    def open_regular(path: str | Path) -> int:
        release.wait(30.0)
        return real(path)

    def stop() -> None:
        raise InterruptedError

    monkeypatch.setattr(decode, "open_regular", open_regular)
    config = DataConfig(root=str(index.root))
    try:
        with pytest.raises(InterruptedError):
            choose_cache(config, index, stop, image_size=224, epochs=20)
    finally:
        release.set()


def test_a_cache_that_may_not_be_looked_into_or_written_is_gone_without(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a container with somebody else's HOME; root may look everywhere.
    forbidden, real = cache_folder().parent, os.stat

    def stat(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if str(path).startswith(str(forbidden)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    def statvfs(path: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", stat)
    assert choose(index) == (True, 448)  # as root
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        assert choose(index) == (False, 448)
    monkeypatch.setattr(cache_choice, "free_bytes", statvfs)
    assert choose(index) == (False, 448)


def test_where_a_system_does_not_tell_its_memory_growing_photos_are_not_kept(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sysconf(name: str) -> int:
        raise ValueError(f"unrecognized configuration name {name}")

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert choose(index)[0]
    monkeypatch.setattr(cache_choice, "read_size", lambda _: (512, 384))
    assert not choose(index)[0]


def test_what_is_asked_for_is_done(index: DataIndex) -> None:
    assert choose(index, cache=False) == (False, 448)
    assert choose(index, cache=True, cache_gb=1e-6) == (True, 448)
    assert choose(index, cache=True, cache_side=300) == (True, 300)


def test_it_does_not_pay_for_few_epochs_or_small_photos(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose(index, epochs=2) == (False, 448)
    monkeypatch.setattr(cache_choice, "read_size", lambda _: (255, 255))
    assert choose(index) == (False, 448)


def test_photos_that_grow_are_kept_only_where_memory_holds_them(
    index: DataIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_choice, "_MEMORY_FRACTION", 1e-9)
    assert choose(index)[0]
    monkeypatch.setattr(cache_choice, "read_size", lambda _: (512, 384))
    assert not choose(index)[0]

from __future__ import annotations

import multiprocessing
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.data import room
from ecotui.engine.data.picture_cache import PictureCache
from tests.engine.data.pictures import (
    CAP,
    KEPT_BYTES,
    SIDE,
    all_of,
    cache_in,
    fill,
    records,
)
from tests.engine.data.test_sources import photo_like

pytestmark = pytest.mark.usefixtures("settled")


def test_the_cap_holds_and_what_was_used_longest_ago_goes(photos: Path, folder: Path) -> None:
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
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_in(folder, cap_bytes=3 * KEPT_BYTES)
    fill(cache, photos)
    kept = records(folder)
    assert len(kept) == 3
    monkeypatch.setattr(room, "_REST_SECONDS", 0.0)
    fill(cache, photos)
    assert records(folder) == kept


def test_a_reservation_of_the_dead_is_found_out(photos: Path, folder: Path) -> None:
    cap = 4 * KEPT_BYTES
    claimed = room.Room(folder, cap)
    assert claimed.take(cap)  # and is killed
    cache = cache_in(folder, cap_bytes=cap)
    cache.open(0, all_of(photos)[0])
    assert len(records(folder)) == 1


def test_a_full_cache_is_counted_ever_more_rarely(
    folder: Path, monkeypatch: pytest.MonkeyPatch
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
    photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda _: room.SPARED_BYTES + 1)
    fill(cache_in(folder), photos)
    assert records(folder) == []


def test_who_holds_the_lock_holds_nobody_up(photos: Path, folder: Path) -> None:
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


def test_temporary_files_of_the_dead_are_removed(photos: Path, folder: Path) -> None:
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

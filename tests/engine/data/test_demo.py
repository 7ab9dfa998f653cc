from __future__ import annotations

import builtins
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecotui.config import DataConfig
from ecotui.engine.data import demo
from ecotui.engine.data.demo import demo_root
from ecotui.engine.data.index import build_index
from ecotui.errors import EnvironmentFaultError, ExitCode, UsageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(demo, "user_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """30 made digits in place of scikit-learn's: value n in every pixel of number n."""
    images = np.stack([np.full((8, 8), number % 17, dtype=np.float64) for number in range(30)])
    digits = SimpleNamespace(images=images, target=np.arange(30) % 10)
    monkeypatch.setattr(demo, "_load_digits", lambda: digits)
    return digits


def test_scikit_learns_digits_become_class_folders(cache: Path) -> None:
    pytest.importorskip("sklearn")
    root = demo_root("digits")
    assert root == cache / "digits-v1"
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    assert len(files) == 1_797
    assert files[0] == "0/0000.png"
    with Image.open(root / "0" / "0000.png") as image:
        assert image.mode == "L"
        assert image.size == (8, 8)
        # The first row of scikit-learn's first digit is 0 0 5 13 9 1 0 0 of 16.
        row = [image.getpixel((x, 0)) for x in range(8)]
    assert row == [0, 0, 80, 207, 143, 16, 0, 0]


def test_greys_reach_from_black_to_white(cache: Path, few_digits: SimpleNamespace) -> None:
    root = demo_root("digits")
    with Image.open(root / "6" / "0016.png") as image:
        assert image.getpixel((0, 0)) == 255


def test_the_demo_is_a_data_root(cache: Path, few_digits: SimpleNamespace) -> None:
    index = build_index(DataConfig(root="demo:digits"), 0)
    assert index.class_names == tuple("0123456789")
    assert index.class_counts("val").tolist() == [1] * 10


def test_it_is_written_once(
    cache: Path, few_digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = demo_root("digits")
    monkeypatch.setattr(demo, "_load_digits", lambda: pytest.fail("written again"))
    assert demo_root("digits") == first
    assert [path.name for path in cache.iterdir()] == ["digits-v1"]


def test_another_process_may_be_faster(
    cache: Path, few_digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename: Callable[[Path, Path], None] = os.rename

    def late(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "theirs").touch()
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    root = demo_root("digits")
    assert (root / "theirs").exists()
    assert [path.name for path in cache.iterdir()] == ["digits-v1"]


def test_nothing_half_made_stays(
    cache: Path, few_digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(EnvironmentFaultError, match="No space left on device") as caught:
        demo_root("digits")
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert list(cache.iterdir()) == []


def test_a_cache_that_is_a_file_is_told(cache: Path, few_digits: SimpleNamespace) -> None:
    cache.write_text("")
    with pytest.raises(EnvironmentFaultError, match="cannot be written to"):
        demo_root("digits")


def test_the_folder_can_be_read_by_the_owner(cache: Path, few_digits: SimpleNamespace) -> None:
    assert stat.S_IMODE(demo_root("digits").stat().st_mode) & 0o700 == 0o700


def test_an_unknown_demo_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no demo data set 'demo:digit\\\\n'") as caught:
        demo_root("digit\n")
    assert caught.value.expected == "one of demo:digits"


def test_absent_scikit_learn_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EnvironmentFaultError) as caught:
        demo_root("digits")
    assert caught.value.remedy == 'pip install "ecotui[demo]"'
    assert not cache.exists()


def test_a_cache_that_may_not_be_looked_into_is_told(
    cache: Path, few_digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_stat, real_mkdir = os.stat, os.mkdir

    # As where HOME is somebody else's; root may look everywhere.
    def forbid(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(path: Any, *args: Any, **kwargs: Any) -> Any:
            if str(path).startswith(str(cache)):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *args, **kwargs)

        return look

    monkeypatch.setattr(os, "stat", forbid(real_stat))
    monkeypatch.setattr(os, "mkdir", forbid(real_mkdir))
    with pytest.raises(EnvironmentFaultError, match="Permission denied"):
        demo_root("digits")

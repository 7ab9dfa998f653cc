"""Whatever is done to an environment's files, they can be put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine import kept_files
from ecotui.engine.kept_files import abandoned, keep
from ecotui.errors import EcoError

NAMES = st.sampled_from(["a", "b", "c.py", "d-1.0.dist-info/RECORD", "a/e", "a/f/g.so", "x.pth"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["write", "delete", "link", "folder", "mode"]), NAMES), max_size=8
)


def apply(root: Path, changes: list[tuple[str, str]], word: str) -> None:
    """Change files the way installers do: never within one, always a new one in its place."""
    for kind, name in changes:
        path = root / name
        for parent in path.relative_to(root).parents:
            if (root / parent).is_symlink() or (root / parent).is_file():
                (root / parent).unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "mode":
            if path.is_file() and not path.is_symlink():
                shutil.copy(path, root / "fresh")
                (root / "fresh").chmod(0o755)
                (root / "fresh").replace(path)
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif os.path.lexists(path):
            path.unlink()
        if kind == "write":
            path.write_text(f"{word} {name}")
        elif kind == "link":
            path.symlink_to("nowhere")
        elif kind == "folder":
            path.mkdir()


def seen(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"link {os.readlink(path)}"
        else:
            mode = path.stat().st_mode & 0o777
            found[name] = "folder" if path.is_dir() else f"{mode:o} {path.read_text()}"
    return found


@given(first=CHANGES, then=CHANGES, has_links=st.booleans())
def test_whatever_is_changed_is_put_back(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, str]],
    then: list[tuple[str, str]],
    has_links: bool,
) -> None:
    root = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        if not has_links:
            patch.setattr(os, "link", refuse)
        apply(root, first, "old")
        before = seen(root)
        kept = keep(root, (root,))
        assert kept.differences() == []
        apply(root, then, "new")
        kept.put_back()
        assert kept.differences() == []
        kept.drop()
    assert seen(root) == before


def refuse(*arguments: object, **settings: object) -> None:
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("change", ["write", "delete"])
def test_what_is_not_put_back_shows_as_a_difference(tmp_path: Path, change: str) -> None:
    apply(tmp_path, [("write", "a/e"), ("write", "b")], "old")
    kept = keep(tmp_path, (tmp_path,))
    apply(tmp_path, [(change, "b")], "new")
    assert kept.differences() == [str(tmp_path / "b")]


def test_a_package_s_files_elsewhere_are_put_back_as_well(tmp_path: Path) -> None:
    site, manual = tmp_path / "lib" / "site", tmp_path / "share" / "old.1"
    record = site / "a-1.dist-info" / "RECORD"
    for path in (record, manual):
        path.parent.mkdir(parents=True)
    manual.write_text("old")
    record.write_text("a.py,,\n../../share/old.1,sha256=x,3\n../../share/gone.1,,\n")
    kept = keep(site, (site,))
    manual.unlink()
    (tmp_path / "share" / "new.1").write_text("new")
    (tmp_path / "share" / "strange.1").write_text("of nobody")
    (site / "b-2.dist-info").mkdir()
    (site / "b-2.dist-info" / "RECORD").write_text("../../share/new.1,,\n")
    kept.put_back()
    assert sorted(path.name for path in manual.parent.iterdir()) == ["old.1", "strange.1"]
    assert manual.read_text() == "old"


def test_keeping_takes_no_room_where_files_can_be_linked(tmp_path: Path) -> None:
    apply(tmp_path, [("write", "b")], "old")
    kept = keep(tmp_path, (tmp_path,))
    assert (kept.folder / "0" / "b").samefile(tmp_path / "b")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse)
    usage = shutil._ntuple_diskusage(10, 10, kept_files._ROOM_LEFT_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def test_without_links_and_room_nothing_is_begun(tmp_path: Path, full: None) -> None:
    apply(tmp_path, [("write", "b")], "old")
    before = seen(tmp_path)
    with pytest.raises(EcoError, match="has no hard links"):
        keep(tmp_path, (tmp_path,))
    assert seen(tmp_path) == before


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_what_was_not_wholly_kept_is_thrown_away(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    apply(tmp_path, [("write", "b")], "old")
    kept = keep(tmp_path, (tmp_path,))
    assert abandoned(tmp_path) is not None
    spoil(kept.folder / "roots.json")
    assert abandoned(tmp_path) is None
    assert seen(tmp_path) == {"b": "644 old b"}

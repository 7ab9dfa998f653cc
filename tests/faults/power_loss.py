"""What a disk may hold after the power went, worked out from the system calls of a save.

The model: what was written into a file is safe once the file is flushed (fsync), a name in a
directory once the directory is. Of what is not safe, a disk may hold anything; a handful of
ways is tried. Source: the weak model of ALICE (Pillai and others, OSDI 2014) in short.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from tests.faults.syscalls import Call

Way = Literal["nothing", "everything", "names", "data", "halves", "renames"]
WAYS: tuple[Way, ...] = ("nothing", "everything", "names", "data", "halves", "renames")
"""What of the unsafe a disk holds: nothing; all; the names, with empty files; the data of files
whose names are safe; the names, with half the data; only the names in the outer directories."""

_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_NAMES = re.compile(r'(?:[^,"<]*<(?P<folder>[^>]*)>, )?"(?P<path>[^"]*)"')


@dataclass(slots=True)
class File:
    """A file: its size now, and the part of it that is safe."""

    content: bytes
    written: int = 0
    safe: int = 0


@dataclass(slots=True)
class Folder:
    """A directory: its names now, and those that are safe."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    safe_names: dict[str, File | Folder] = field(default_factory=dict)


class Disk:
    """A disk that watches system calls.

    Args:
        root: Directory on the real disk, whose present content is safe.
        after: The same directory after the save, where the content of new files is found.
        without: Number of a flush, counted from 0, that is left out: the control.
    """

    def __init__(self, root: Path, after: dict[str, bytes], *, without: int | None = None) -> None:
        self._base = PurePosixPath(root)
        self._after = after
        self._without = without
        self._num_flushes = 0
        self.root = _load(root)

    def apply(self, call: Call) -> None:
        """Take in one more call."""
        if call.result < 0:
            return
        if call.kind in ("mkdir", "mkdirat"):
            self._put(_path(call), Folder())
        elif call.kind == "openat" and "O_CREAT" in call.arguments:
            self._open(call)
        elif call.kind == "write":
            file = self._find(_written(call))
            if isinstance(file, File):
                file.written += call.result
        elif call.kind in ("fsync", "fdatasync"):
            self._flush(_written(call))
        elif call.kind.startswith("rename"):
            old, new = (_joined(matched) for matched in _NAMES.finditer(call.arguments))
            self._put(new, self._take(old))
        elif call.kind in ("unlink", "unlinkat", "rmdir"):
            self._take(_path(call))

    def write_to(self, target: Path, way: Way) -> None:
        """Write down what the disk may hold if the power goes now."""
        _store(self.root, target, way, is_outer=True)

    def _open(self, call: Call) -> None:
        path = _path(call)
        if self._find(path) is None:
            name = PurePosixPath(path).name
            self._put(path, File(self._after[name]))

    def _flush(self, path: str) -> None:
        number, self._num_flushes = self._num_flushes, self._num_flushes + 1
        if number == self._without:
            return
        found = self._find(path)
        if isinstance(found, File):
            found.safe = found.written
        elif isinstance(found, Folder):
            found.safe_names = dict(found.names)

    def _find(self, path: str) -> File | Folder | None:
        try:
            parts = PurePosixPath(path).relative_to(self._base).parts
        except ValueError:
            return None
        at: File | Folder | None = self.root
        for part in parts:
            at = at.names.get(part) if isinstance(at, Folder) else None
        return at

    def _put(self, path: str, what: File | Folder) -> None:
        parent = self._find(str(PurePosixPath(path).parent))
        assert isinstance(parent, Folder), path
        parent.names[PurePosixPath(path).name] = what

    def _take(self, path: str) -> File | Folder:
        parent = self._find(str(PurePosixPath(path).parent))
        assert isinstance(parent, Folder), path
        return parent.names.pop(PurePosixPath(path).name)


def count_flushes(calls: Sequence[Call]) -> int:
    """Return how many flushes there are in the calls."""
    return sum(call.kind in ("fsync", "fdatasync") for call in calls)


def _path(call: Call) -> str:
    matched = _NAMES.match(call.arguments)
    assert matched is not None, call
    return _joined(matched)


def _joined(matched: re.Match[str]) -> str:
    return str(PurePosixPath(matched["folder"] or "/") / matched["path"])


def _written(call: Call) -> str:
    matched = _DESCRIPTOR.match(call.arguments)
    return matched["path"] if matched else ""


def _load(path: Path) -> Folder:
    names: dict[str, File | Folder] = {}
    for entry in path.iterdir():
        if entry.is_dir():
            names[entry.name] = _load(entry)
        else:
            content = entry.read_bytes()
            names[entry.name] = File(content, len(content), len(content))
    return Folder(names, dict(names))


def _store(folder: Folder, target: Path, way: Way, *, is_outer: bool) -> None:
    target.mkdir()
    keeps_names = way in ("everything", "names", "halves") or (way == "renames" and is_outer)
    for name, what in (folder.names if keeps_names else folder.safe_names).items():
        if isinstance(what, Folder):
            _store(what, target / name, way, is_outer=is_outer and name == "checkpoints")
        else:
            (target / name).write_bytes(what.content[: _kept(what, way)])


def _kept(file: File, way: Way) -> int:
    if way in ("everything", "data"):
        return file.written
    if way == "halves":
        return file.safe + (file.written - file.safe) // 2
    return file.safe

"""The files of an environment, kept beside it while it is changed, and put back from there.

Hard links, so that keeping 5 GB takes a second and no room: an installer removes and renames
files and never writes into one. Nothing has to be fetched again to undo a change, so it
works without a network, for a build that no index has, and after a crash half-way.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ecotui.errors import EcoError
from ecotui.text import bytes_size, visible

_KEPT_PREFIX = ".ecotui-kept-"
_OWN_PREFIX = ".ecotui-"
"""Our own entries among the packages: neither kept nor compared."""
_ROOTS_FILE = "roots.json"
_ROOM_LEFT_BYTES = 500_000_000
"""What a copy leaves free, where the file system has no hard links."""


class KeptFiles:
    """What folders held at one moment.

    Args:
        folder: Where it is kept.
        roots: The folders that it was, in order.
        outside: Single files elsewhere that packages had.
    """

    def __init__(self, folder: Path, roots: tuple[Path, ...], outside: tuple[Path, ...]) -> None:
        self.folder = folder
        self._roots = roots
        self._outside = outside
        self._number_of = {path: number for number, path in enumerate(outside)}

    def put_back(self) -> None:
        """Make the folders what they were; what came since is removed.

        Raises:
            OSError: Something cannot be put back.
        """
        for path in _outside_files(self._roots) - set(self._outside):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        for kept, place in self._pairs():
            _remove_what_came(kept, place)
            _put_back(kept, place)
        for path, number in self._number_of.items():
            kept_file = self.folder / "outside" / str(number)
            if not _is_same(kept_file, path):
                path.parent.mkdir(parents=True, exist_ok=True)
                _link(kept_file, path)

    def differences(self) -> list[str]:
        """Return the paths that are not what they were, compiled files left out."""
        found: list[str] = []
        for kept, place in self._pairs():
            then, now = dict(_files(kept)), dict(_files(place))
            names = then.keys() | now.keys()
            found += [
                str(place / name)
                for name in sorted(names)
                if "__pycache__" not in Path(name).parts
                and not (name in then and name in now and _is_same(then[name], now[name]))
            ]
        return found

    def drop(self) -> None:
        """Forget what was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pairs(self) -> list[tuple[Path, Path]]:
        return [(self.folder / str(number), root) for number, root in enumerate(self._roots)]


def keep(site: Path, roots: tuple[Path, ...]) -> KeptFiles:
    """Keep what folders hold, in a hidden folder beside the packages.

    Args:
        site: Of the packages; may be written to.
        roots: The folders, the packages' own among them.

    Raises:
        EcoError: There is neither a way to link files nor the room to copy them.
        OSError: A file cannot be read or a folder not be written.
    """
    outside = tuple(sorted(_outside_files(roots)))
    folder = site / f"{_KEPT_PREFIX}{secrets.token_hex(4)}"
    kept = KeptFiles(folder, roots, outside)
    folder.mkdir()
    try:
        _check_room(folder, roots)
        for copy, root in kept._pairs():
            copy.mkdir()
            if root.is_dir():
                _put_back(root, copy)
        (folder / "outside").mkdir()
        for number, path in enumerate(outside):
            _link(path, folder / "outside" / str(number))
        # Written last: without it a kept folder is not whole, and nothing was changed yet.
        told = {"roots": [str(root) for root in roots], "outside": [str(path) for path in outside]}
        (folder / _ROOTS_FILE).write_text(json.dumps(told), encoding="utf-8")
    except BaseException:
        kept.drop()
        raise
    return kept


def abandoned(site: Path) -> KeptFiles | None:
    """Return what a repair that was cut off had kept; scraps without meaning are removed."""
    for folder in sorted(site.glob(f"{_KEPT_PREFIX}*")):
        try:
            told = json.loads((folder / _ROOTS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        roots = tuple(Path(root) for root in told["roots"])
        return KeptFiles(folder, roots, tuple(Path(path) for path in told["outside"]))
    return None


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file and link below a folder with its path relative to that."""
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(_OWN_PREFIX)]
        linked = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*names, *linked):
            if not name.startswith(_OWN_PREFIX):
                path = Path(place, name)
                yield str(path.relative_to(root)), path


def _folders(root: Path) -> set[str]:
    found: set[str] = set()
    for place, folders, _ in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(_OWN_PREFIX) and not os.path.islink(os.path.join(place, name))
        ]
        found.update(str(Path(place, name).relative_to(root)) for name in folders)
    return found


def _remove_what_came(kept: Path, place: Path) -> None:
    then = dict(_files(kept))
    for name, path in list(_files(place)):
        if name not in then:
            path.unlink()
    for name in sorted(_folders(place) - _folders(kept), key=len, reverse=True):
        (place / name).rmdir()


def _put_back(source: Path, target: Path) -> None:
    """Make every file of one folder be in the other."""
    for name in sorted(_folders(source)):
        (target / name).mkdir(exist_ok=True)
    for name, path in _files(source):
        if not _is_same(path, target / name):
            _link(path, target / name)


def _is_same(one: Path, other: Path) -> bool:
    try:
        first, second = one.lstat(), other.lstat()
    except OSError:
        return False
    if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
        return True
    told = (first.st_mode, first.st_size, first.st_mtime_ns)
    return told == (second.st_mode, second.st_size, second.st_mtime_ns)


def _link(source: Path, target: Path) -> None:
    """Make the target the same file, or a copy of it, in one step."""
    fresh = target.with_name(f"{_OWN_PREFIX}new-{secrets.token_hex(4)}")
    # Path files are the ones that some installers write into.
    try:
        if source.suffix == ".pth":
            raise OSError("to be copied")
        os.link(source, fresh, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, fresh, follow_symlinks=False)
    os.replace(fresh, target)
    # A rename between two names of one file does nothing and leaves both.
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()


def _check_room(folder: Path, roots: tuple[Path, ...]) -> None:
    trial = folder / "trial"
    trial.touch()
    try:
        os.link(trial, folder / "trial-link")
    except OSError:
        needed = sum(path.lstat().st_size for root in roots for _, path in _files(root))
        free = shutil.disk_usage(folder).free
        if free < needed + _ROOM_LEFT_BYTES:
            raise EcoError(
                f"the packages cannot be kept while they are changed: {bytes_size(free)} free, "
                f"{bytes_size(needed)} needed, and {visible(folder.parent)} has no hard links",
                "room to put everything back should the repair fail",
                "free some space, or make the environment anew on another disk",
            ) from None


def _outside_files(roots: tuple[Path, ...]) -> set[Path]:
    """Return the files of packages that lie outside of the folders, such as manual pages."""
    found: set[Path] = set()
    for root in roots:
        for record in root.glob("*.dist-info/RECORD"):
            if not record.is_file():
                continue
            for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("../"):
                    path = Path(os.path.normpath(root / line.split(",")[0]))
                    if path.is_file() and not any(path.is_relative_to(each) for each in roots):
                        found.add(path)
    return found

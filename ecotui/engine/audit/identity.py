"""What tells a file from a changed one, and where it really lies; nothing is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecotui.engine.audit.records import Rows, Trait
from ecotui.engine.data.index import Names

_POLL_EVERY = 4_096


def identify(root: Path, names: Names, rows: Rows, poll: Callable[[], None]) -> None:
    """Fill in size, modification time, inode and links of every file; zeros for an absent one.

    Args:
        root: That names are relative to.
        names: Relative paths, `[N]`.
        rows: Of the same files; `size`, `mtime_ns`, `inode` and `traits` are written.
        poll: Called now and then; what it raises ends the work.
    """
    count = len(names)
    sizes, times, inodes = (np.zeros(count, dtype=kind) for kind in ("<i8", "<i8", "<u8"))
    links: list[int] = []
    folders = _Folders(root)
    # Relative to an open folder: the kernel does not walk the root's own path each time.
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for place, name in enumerate(names.raws()):
            if not place % _POLL_EVERY:
                poll()
            try:
                status = os.lstat(name, dir_fd=top)
                if stat.S_ISLNK(status.st_mode):
                    links += [place] if folders.leaves(name) else []
                    status = os.stat(name, dir_fd=top)
                elif folders.is_outside(name):
                    links.append(place)
            except OSError:
                continue
            sizes[place] = status.st_size
            times[place] = status.st_mtime_ns
            inodes[place] = status.st_ino
    finally:
        os.close(top)
    rows["size"], rows["mtime_ns"], rows["inode"] = sizes, times, inodes
    rows["traits"][links] |= np.uint8(Trait.OUTSIDE_LINK)


class _Folders:
    """Knows which folders of a data set lie outside of it, each looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self._real = os.path.realpath(self._root)
        self._last, self._is_outside = b"", False

    def is_outside(self, name: bytes) -> bool:
        """Say whether a file's folder is reached through a link that leaves the data."""
        folder = name[: name.rfind(b"/") + 1]
        if folder != self._last:
            self._last = folder
            self._is_outside = self._lies_outside(folder)
        return self._is_outside

    def leaves(self, name: bytes) -> bool:
        """Say whether a link leads out of the data."""
        return self._lies_outside(name)

    def _lies_outside(self, name: bytes) -> bool:
        found = os.path.realpath(os.path.join(self._root, name))
        return found != self._real and not found.startswith(self._real.rstrip(b"/") + b"/")

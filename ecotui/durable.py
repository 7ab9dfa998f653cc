"""Files that are still there after the power went: flushed to the disk, and their names too."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sys
from pathlib import Path

_HAS_NO_FULL_SYNC = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY})


def sync_file(descriptor: int) -> None:
    """Flush a file to the disk itself.

    On macOS `fsync` only hands the data to the drive, which may keep it in its cache;
    F_FULLFSYNC makes the drive write it. Source: fsync(2) of macOS.

    Raises:
        OSError: The system could not write it; what the file then holds is unknown.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform == "darwin" else None
    if full is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError as error:
        # Only on a file system without it, such as a network one: after a flush that failed,
        # the next one may say that all is well though what was written is lost.
        if error.errno not in _HAS_NO_FULL_SYNC:
            raise
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Flush the names in a directory to the disk.

    Raises:
        OSError: It cannot be opened or flushed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that it holds the old content or the new one, whatever happens.

    Args:
        path: Of the file.
        content: Of the file.
        mode: Rights, less the process's mask.

    Raises:
        OSError: It cannot be written; the old one stands.
    """
    writing = path.with_name(f".tmp-{path.name}-{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(writing, flags, mode)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            sync_file(descriptor)
        finally:
            os.close(descriptor)
        writing.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            writing.unlink()
        raise
    sync_folder(path.parent)

"""What a disk says when it cannot be written, and writing that leaves nothing half done then.

Knows nothing of what is written; what survives a power cut is `durable`'s business.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""There is no room: freeing some helps."""

STORAGE_ERRNOS = FULL_ERRNOS | {errno.EIO, errno.EROFS, errno.EFBIG, errno.ESTALE, errno.ENXIO}
"""The disk cannot be written for now; that is no mistake of the one who writes."""

FILE_MODE, FOLDER_MODE = stat.S_IRUSR | stat.S_IWUSR, stat.S_IRWXU
NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FULL_PHRASES = (
    "no space left",
    "disk quota exceeded",
    "unexpected pos",  # torch's own archive writer, which keeps no errno
    "os error 28",  # safetensors'
    "os error 122",
)
_BROKEN_PHRASES = ("input/output error", "read-only file system", "os error 5)", "os error 30)")


def is_full(error: BaseException) -> bool:
    """Say whether an exception means that the disk, or the quota on it, is full.

    torch and safetensors say so in the text of a RuntimeError, without an errno.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL_ERRNOS
    return _says(error, _FULL_PHRASES)


def is_storage_fault(error: BaseException) -> bool:
    """Say whether an exception means that the disk cannot be written for now."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in STORAGE_ERRNOS
    return _says(error, _FULL_PHRASES + _BROKEN_PHRASES)


def open_folder(path: Path | str, *, within: int | None = None) -> int:
    """Return a descriptor of a folder; one reached through a link at its end is refused."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, dir_fd=within)


def append_line(path: Path, line: bytes) -> None:
    """Append a whole line to a file, or nothing of it; a torn one before it is closed off.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    with closing(descriptor):
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        append_whole(descriptor, b"\n" + line if is_torn else line, size)


def append_whole(descriptor: int, payload: bytes, size_before: int) -> None:
    """Append all of it, or, when the disk cannot take it, none of it.

    Raises:
        OSError: It cannot be written. What was begun is cut off, if that can be done.
    """
    try:
        write_all(descriptor, payload)
    except OSError:
        with contextlib.suppress(OSError):  # the fault that counts is the one raised
            os.ftruncate(descriptor, size_before)
        raise


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of it, however little the system takes at once."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def closing(descriptor: int) -> Iterator[None]:
    """Close a descriptor after a block; a close that fails counts, as a write does.

    Raises:
        OSError: Some systems tell only now that the disk was full.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the fault that counts is the one raised
            os.close(descriptor)
        raise
    os.close(descriptor)


def free_bytes(path: Path) -> int | None:
    """Return the room on the disk of a path, in bytes; None where it does not tell.

    Raises:
        OSError: The path is not there.
    """
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize if found.f_blocks else None


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    if not isinstance(error, OSError | RuntimeError) and type(error).__name__ != "SafetensorError":
        return False
    said = str(error).lower()
    return any(phrase in said for phrase in phrases)

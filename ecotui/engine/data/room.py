"""How much room a folder of small files takes, kept under a cap by several processes at once.

The sum is written down where all of them see it; files that were used longest ago go first. Who
is killed between the sum and a file leaves a sum that is too large: it is counted anew before
anything is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from ecotui.disk import FILE_MODE, FOLDER_MODE, free_bytes

SPARED_BYTES = 2_000_000_000
"""Room on the disk that is left to others: checkpoints above all."""

_SUM = struct.Struct("<q")
_TRIES, _TRY_SECONDS = 10, 0.002
"""For the lock. Nobody waits long: one who holds it may have been stopped."""
_REST_SECONDS = 60.0
_MOST_REST_SECONDS = 3_600.0
"""After a refusal nothing is counted again for so long: twice as long after each, up to the latter.
To count a full cache takes seconds, and a minute on a network's disk."""
_STALE_SECONDS = 600.0
"""A temporary file that is older belongs to nobody."""
_EMPTIED_FRACTION = 0.05
"""Of the cap, that is freed beyond what is needed, so that files are not counted each time."""


class Room:
    """What may be written into a folder.

    Args:
        folder: Whose files, one folder down, are counted.
        cap_bytes: That they may take.
    """

    TEMPORARY = ".new-"
    """How names of files that are being written begin."""

    LINK_BYTES = 1_024
    """That a link counts for: its place in a folder and in the file system's tables."""

    def __init__(self, folder: Path, cap_bytes: int) -> None:
        self._folder = folder
        self._cap = cap_bytes
        self._since = time.time()
        self._rests_until = 0.0
        self._rest_seconds = _REST_SECONDS

    def take(self, num_bytes: int) -> bool:
        """Say whether a file may be written, and count it as written.

        What was used since this run began is not removed for it: a data set that is larger than
        the cap would otherwise push out, photo by photo, what is needed next.
        """
        if time.monotonic() < self._rests_until:
            return False
        try:
            with self._counted() as descriptor:
                if descriptor is None:
                    return False
                total = self._sum(descriptor)
                if total + num_bytes > self._cap:
                    total = self._emptied(num_bytes)
                is_fitting = total + num_bytes <= self._cap and self._disk_has(num_bytes)
                _write_sum(descriptor, total + num_bytes if is_fitting else total)
        except OSError:
            is_fitting = False
        if is_fitting:
            self._rest_seconds = _REST_SECONDS
        else:
            self._rests_until = time.monotonic() + self._rest_seconds
            self._rest_seconds = min(2.0 * self._rest_seconds, _MOST_REST_SECONDS)
        return is_fitting

    def give_back(self, num_bytes: int) -> None:
        """Take a file out of the sum that could not be written."""
        with contextlib.suppress(OSError), self._counted() as descriptor:
            if descriptor is not None:
                _write_sum(descriptor, max(0, self._sum(descriptor) - num_bytes))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[int | None]:
        """Give the locked file with the sum; None where somebody else holds it."""
        self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder / "sum", flags, FILE_MODE)
        try:
            yield descriptor if _is_locked(descriptor) else None
        finally:
            os.close(descriptor)  # and with it the lock

    def _sum(self, descriptor: int) -> int:
        written = os.pread(descriptor, _SUM.size, 0)
        if len(written) == _SUM.size:
            total = int(_SUM.unpack(written)[0])
            if total >= 0:
                return total
        return sum(size for _, size, _ in self._files())

    def _emptied(self, num_bytes: int) -> int:
        """Remove what was used longest ago, and return the sum of what is left."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        limit = int(self._cap * (1.0 - _EMPTIED_FRACTION)) - num_bytes
        if total + num_bytes <= self._cap:
            return total
        for used, size, path in files:
            if total <= limit or used >= self._since:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
        return total

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Go through time of use, size and path of every file; stale ones are removed."""
        stale = time.time() - _STALE_SECONDS
        for folder in list(os.scandir(self._folder)):
            if not folder.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(FileNotFoundError), os.scandir(folder.path) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if entry.name.startswith(self.TEMPORARY) and status.st_mtime < stale:
                            os.unlink(entry.path)
                            continue
                        is_link = stat.S_ISLNK(status.st_mode)
                        size = self.LINK_BYTES if is_link else status.st_size
                        yield status.st_mtime, size, entry.path

    def _disk_has(self, num_bytes: int) -> bool:
        free = free_bytes(self._folder)
        return free is None or free - num_bytes > SPARED_BYTES


def _is_locked(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_TRY_SECONDS)
        with contextlib.suppress(BlockingIOError, PermissionError):
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _write_sum(descriptor: int, total: int) -> None:
    os.pwrite(descriptor, _SUM.pack(total), 0)

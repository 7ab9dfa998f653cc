"""Who is alive: the one module that knows file locks.

The kernel drops a record lock when its holder dies, however it dies, and forked
loader workers do not inherit it (a `flock` they do: measured after SIGKILL of
the holder). In return, closing *any* descriptor of the file in the holding
process releases it, so the holder writes through the locked descriptor and
opens the file once; readers ask with F_GETLK and never lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

# struct flock differs: Linux puts type and whence first, the BSDs and macOS last.
_FLOCK_FORMAT = "hhqqi4x" if sys.platform.startswith("linux") else "qqihh"
_TYPE_INDEX, _PID_INDEX = (0, 4) if sys.platform.startswith("linux") else (3, 2)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        pid: Process id on `host`.
        host: Name of the machine.
        started_at: Unix seconds at which it took the lock.
    """

    pid: int
    host: str
    started_at: float


class AlreadyHeldError(Exception):
    """Another process holds the lock; `holder` is who, where it can be read."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("the lock is held")
        self.holder = holder


_held_here: dict[tuple[int, int], Holder] = {}
"""Locks of this process by device and inode: they must not be probed, see above."""

_HOLDER_WAIT_SECONDS = 0.5
"""How long a loser waits for the winner to write who it is."""


class Lock:
    """A held lock; keep the object as long as the lock is to be held."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; a second time does nothing."""
        if self._descriptor < 0:
            return
        _held_here.pop(_identity(os.fstat(self._descriptor)), None)
        os.close(self._descriptor)
        self._descriptor = -1


def acquire(path: Path) -> Lock:
    """Take the lock, writing pid, host and start time into the file.

    Raises:
        AlreadyHeldError: A living process holds it, be it this one.
        OSError: The file cannot be opened or written.
    """
    own = _own_hold(path)
    if own is not None:
        raise AlreadyHeldError(own)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        winner = _locking_pid(descriptor)
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise AlreadyHeldError(_await_holder(path, winner)) from None
        raise
    holder = Holder(os.getpid(), socket.gethostname(), time.time())
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(holder)).encode() + b"\n", 0)
    _held_here[_identity(os.fstat(descriptor))] = holder
    return Lock(descriptor)


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock, be it this one."""
    if _own_hold(path) is not None:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _locking_pid(descriptor) is not None
    finally:
        os.close(descriptor)


def read_holder(path: Path) -> Holder | None:
    """Return who last took the lock, alive or not; None when the file does not tell."""
    own = _own_hold(path)
    if own is not None:
        return own
    with contextlib.suppress(
        OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError
    ):
        record = json.loads(path.read_bytes()[:4096])
        return Holder(int(record["pid"]), str(record["host"]), float(record["started_at"]))
    return None


def _await_holder(path: Path, winner: int | None) -> Holder | None:
    """Return the holder once it has written its record, which it does after it has locked."""
    deadline = time.monotonic() + _HOLDER_WAIT_SECONDS
    while True:
        holder = read_holder(path)
        is_the_winner = holder is not None and winner in (None, 0, holder.pid)
        if is_the_winner or time.monotonic() > deadline:
            return holder
        time.sleep(0.01)


def _own_hold(path: Path) -> Holder | None:
    """Return this process's own hold, which a forked child remembers but does not have."""
    try:
        holder = _held_here.get(_identity(path.stat()))
    except OSError:
        return None
    return holder if holder is not None and holder.pid == os.getpid() else None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)


def _locking_pid(descriptor: int) -> int | None:
    if sys.platform.startswith("linux"):
        question = struct.pack(_FLOCK_FORMAT, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    else:
        question = struct.pack(_FLOCK_FORMAT, 0, 0, 0, fcntl.F_RDLCK, os.SEEK_SET)
    answer = struct.unpack(_FLOCK_FORMAT, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return None if answer[_TYPE_INDEX] == fcntl.F_UNLCK else int(answer[_PID_INDEX])

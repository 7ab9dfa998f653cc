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
from dataclasses import dataclass
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


class Lock:
    """A held lock; keep the object as long as the lock is to be held."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


def acquire(path: Path) -> Lock:
    """Take the lock, writing pid, host and start time into the file.

    Raises:
        AlreadyHeldError: Another living process holds it.
        OSError: The file cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise AlreadyHeldError(read_holder(path)) from None
        raise
    record = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": time.time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode() + b"\n", 0)
    return Lock(descriptor)


def is_held(path: Path) -> bool:
    """Say whether a living process other than this one holds the lock."""
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
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(path.read_bytes()[:4096])
        return Holder(int(record["pid"]), str(record["host"]), float(record["started_at"]))
    return None


def _locking_pid(descriptor: int) -> int | None:
    if sys.platform.startswith("linux"):
        question = struct.pack(_FLOCK_FORMAT, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    else:
        question = struct.pack(_FLOCK_FORMAT, 0, 0, 0, fcntl.F_RDLCK, os.SEEK_SET)
    answer = struct.unpack(_FLOCK_FORMAT, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return None if answer[_TYPE_INDEX] == fcntl.F_UNLCK else int(answer[_PID_INDEX])

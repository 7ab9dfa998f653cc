"""What a file holds, in sixteen bytes: worked out once, and noted for as long as it stays as it is.

A note is a symbolic link that points to nothing: it is made at one go, is there whole or not at
all, and takes no room but its name's. Its own name says what the file system told of the file:
path, size, times and number. Where a file system has no links, files are read each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from ecotui.disk import FOLDER_MODE
from ecotui.engine.data.decode import DecodeError, open_regular

_AT_ONCE = 1 << 20
_DIGEST_BYTES = 16


def place_of(folder: str, name: bytes) -> str:
    """Return the path of what has a name, one folder down: there may be millions.

    As a string: a path is looked at for each photo, and takes longer to make than to open.
    """
    digits = name.hex()
    return os.path.join(folder, digits[:2], digits[2:])


def digest_of(path: Path) -> bytes:
    """Return what a file holds, as 16 bytes (BLAKE2b, RFC 7693).

    Raises:
        DecodeError: It cannot be read.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    descriptor = open_regular(path)
    try:
        while content := os.read(descriptor, _AT_ONCE):
            digest.update(content)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return digest.digest()


def identity_of(path: Path) -> bytes:
    """Return what the file system says of a file, as 16 bytes: they change when the file does.

    The file is opened: of one that may not be read any more nothing is known.

    Raises:
        DecodeError: It cannot be opened.
    """
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    # The time of change is there for files written anew under their old time and size.
    identity = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    said = f"{identity} ".encode() + os.fsencode(os.path.abspath(path))
    return hashlib.blake2b(said, digest_size=_DIGEST_BYTES).digest()


def noted(folder: str, identity: bytes) -> bytes | None:
    """Return the digest that was noted for a file; None without one."""
    try:
        digest = bytes.fromhex(os.readlink(place_of(folder, identity)))
    except (OSError, ValueError):
        return None
    return digest if len(digest) == _DIGEST_BYTES else None


def note(folder: str, identity: bytes, digest: bytes) -> None:
    """Note a file's digest; where that cannot be written it is worked out again."""
    place = place_of(folder, identity)
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(place), FOLDER_MODE, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        os.symlink(digest.hex(), place)


def note_use(folder: str, identity: bytes) -> None:
    """Make a note as young as what it leads to: both are removed by their age."""
    with contextlib.suppress(OSError, NotImplementedError):
        os.utime(place_of(folder, identity), follow_symlinks=False)

"""What a file holds, in sixteen bytes: worked out once, and noted for as long as it stays as it is.

A note is a symbolic link that points to nothing: it is made at one go, and is there whole or not at
all. Its own name says what the file system told of the file: path, size, times and number. Where
a file system has no links, each process works it out once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecotui.disk import FOLDER_MODE
from ecotui.engine.data.decode import DecodeError, open_regular

DIGEST_BYTES = 16

MAX_READ_BYTES = 67_108_864
"""A larger file is not read for this: it is known by what the file system says of it."""

SETTLED_SECONDS = 2.0
"""A file that was written to so lately is not noted: it may be written to again within the same
tick of the file system's clock, and look as it did (as Git's index has it: "racily clean")."""

_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What the file system says of a file.

    Attributes:
        name: In 16 bytes: others when the file changes.
        num_bytes: Its size.
        is_settled: Whether it has been as it is for a while.
    """

    name: bytes
    num_bytes: int
    is_settled: bool = field(compare=False)


def place_of(folder: str, name: bytes) -> str:
    """Return the path of what has a name, one folder down: there may be millions.

    As a string: a path is looked at for each photo, and takes longer to make than to open.
    """
    digits = name.hex()
    return os.path.join(folder, digits[:2], digits[2:])


def identity_of(path: Path) -> Identity:
    """Return what the file system says of a file.

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
    return Identity(
        name=hashlib.blake2b(said, digest_size=DIGEST_BYTES).digest(),
        num_bytes=status.st_size,
        is_settled=time.time() - max(status.st_ctime, status.st_mtime) > SETTLED_SECONDS,
    )


def digest_of(path: Path, identity: Identity) -> bytes:
    """Return what a file holds, as 16 bytes (BLAKE2b, RFC 7693).

    Raises:
        DecodeError: It cannot be read.
    """
    if identity.num_bytes > MAX_READ_BYTES:
        return identity.name
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    descriptor = open_regular(path)
    try:
        while content := os.read(descriptor, _AT_ONCE):
            digest.update(content)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return digest.digest()


class Digests:
    """What is known of the files of a data set: in this process, and by notes in a folder.

    Args:
        folder: Of the notes, each one folder down.
        num_samples: Of the data set.
    """

    def __init__(self, folder: str, num_samples: int) -> None:
        self._folder = folder
        # A million samples: 33 MB, of which a process writes what it has looked at.
        self._identities = np.zeros(num_samples, dtype=f"V{DIGEST_BYTES}")
        self._digests = np.zeros(num_samples, dtype=f"V{DIGEST_BYTES}")
        self._is_noted = np.zeros(num_samples, dtype=np.bool_)

    def known(self, sample_id: int, identity: Identity) -> bytes | None:
        """Return the digest of a sample's file; None where it has to be worked out."""
        if self._is_held(sample_id, identity):
            return bytes(self._digests[sample_id])
        digest = _read_note(place_of(self._folder, identity.name))
        if digest is not None:
            self.hold(sample_id, identity, digest)
            self._is_noted[sample_id] = True
        return digest

    def hold(self, sample_id: int, identity: Identity, digest: bytes) -> None:
        """Keep a file's digest in mind, unless the file was written to just now."""
        if identity.is_settled and not self._is_held(sample_id, identity):
            self._identities[sample_id] = np.void(identity.name)
            self._digests[sample_id] = np.void(digest)
            self._is_noted[sample_id] = False

    def is_to_be_noted(self, sample_id: int, identity: Identity) -> bool:
        """Say whether a digest is held that no note tells yet."""
        return self._is_held(sample_id, identity) and not self._is_noted[sample_id]

    def note(self, sample_id: int, identity: Identity) -> bool:
        """Note what is held, once; return whether that could be written."""
        self._is_noted[sample_id] = True
        place = place_of(self._folder, identity.name)
        try:
            # One by one: `makedirs` gives its mode to the last alone.
            os.makedirs(self._folder, FOLDER_MODE, exist_ok=True)
            os.makedirs(os.path.dirname(place), FOLDER_MODE, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
            os.symlink(bytes(self._digests[sample_id]).hex(), place)
        except OSError:
            return False
        return True

    def use(self, identity: Identity) -> None:
        """Make a note as young as what it leads to: both are removed by their age."""
        with contextlib.suppress(OSError, NotImplementedError):
            os.utime(place_of(self._folder, identity.name), follow_symlinks=False)

    def forget(self, sample_id: int, identity: Identity) -> None:
        """Drop a digest that has turned out to be wrong, and its note."""
        self._identities[sample_id] = np.void(bytes(DIGEST_BYTES))
        with contextlib.suppress(OSError):
            os.unlink(place_of(self._folder, identity.name))

    def _is_held(self, sample_id: int, identity: Identity) -> bool:
        return bytes(self._identities[sample_id]) == identity.name


def _read_note(place: str) -> bytes | None:
    try:
        digest = bytes.fromhex(os.readlink(place))
    except (OSError, ValueError):
        return None
    return digest if len(digest) == DIGEST_BYTES else None

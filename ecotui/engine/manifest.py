"""What a checkpoint says of itself: its files with their digests, and the facts of its moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui import __version__

MANIFEST = "MANIFEST.json"
FORMAT_VERSION = 2
MAX_MANIFEST_BYTES = 33_554_432
"""A larger one is not read; 100,000 classes with long names fit."""
MAX_FILES = 1_000

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BadCheckpointError(Exception):
    """A checkpoint is not what its manifest says."""


class OtherFormatError(BadCheckpointError):
    """A checkpoint was written by another version; nothing says that it is damaged."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of a checkpoint.

    Attributes:
        num_bytes: Its size.
        sha256: Digest of its content, hexadecimal.
    """

    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint says of itself.

    Attributes:
        files: By name; the manifest is not among them.
        facts: Plain data: run, step, epoch, environment and the like.
    """

    files: Mapping[str, FileRecord]
    facts: dict[str, Any]


def encode_json(record: Mapping[str, Any]) -> bytes:
    """Return a record as a JSON file; numbers must be finite or spelt as strings."""
    return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"


def decode_json(content: bytes) -> Any:
    """Return what a JSON file says.

    Raises:
        ValueError: It is no JSON, names a key twice, or holds NaN or infinity.
    """
    try:
        return json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def encode_manifest(files: Mapping[str, FileRecord], facts: Mapping[str, Any]) -> bytes:
    """Return a manifest as a file.

    Raises:
        ValueError: The facts are beyond `MAX_MANIFEST_BYTES`.
    """
    record: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "writer": f"ecotui {__version__}",
        "files": {
            name: {"bytes": file.num_bytes, "sha256": file.sha256} for name, file in files.items()
        },
        "facts": dict(facts),
    }
    record = decode_json(encode_json(record))  # as it will be read: tuples are lists by then
    content = encode_json({**record, "digest": _digest(record)})
    if len(content) > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {len(content)} bytes could not be read again")
    return content


def read_manifest(path: Path) -> Manifest:
    """Return what the checkpoint in a folder says of itself.

    Raises:
        OtherFormatError: Another version wrote it.
        BadCheckpointError: It cannot be read, or is not what was written.
    """
    try:
        record = decode_json(read_plain_file(path / MANIFEST, MAX_MANIFEST_BYTES))
    except (OSError, ValueError) as error:
        raise BadCheckpointError(f"the manifest cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise BadCheckpointError("the manifest is no table")
    told = record.get("format")
    if type(told) is int and told != FORMAT_VERSION:
        raise OtherFormatError(f"it is of format {told}, and this version reads {FORMAT_VERSION}")
    if type(told) is not int or record.pop("digest", None) != _digest(record):
        raise BadCheckpointError("the manifest is not the one that was written")
    if not isinstance(record.get("facts"), dict) or not isinstance(record.get("files"), dict):
        raise BadCheckpointError("the manifest names no files")
    return Manifest(_files(record["files"]), record["facts"])


def read_plain_file(path: Path, limit: int) -> bytes:
    """Return the content of a file that is no link, no device, and within a limit.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no plain file, or is larger.
    """
    descriptor = open_plain_file(path)
    with open(descriptor, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path.name} has more than {limit} bytes")
    return content


def open_plain_file(path: Path) -> int:
    """Return a descriptor for reading a file that is no link and no device.

    Raises:
        OSError: It cannot be opened, or is a link.
        ValueError: It is no plain file.
    """
    # Not blocking: opening a pipe would wait for somebody who writes into it.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is no plain file")
    return descriptor


def _files(table: dict[str, Any]) -> dict[str, FileRecord]:
    if len(table) > MAX_FILES:
        raise BadCheckpointError(f"the manifest names {len(table)} files")
    return {name: _file(name, told) for name, told in table.items()}


def _file(name: str, told: Any) -> FileRecord:
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise BadCheckpointError(f"{name!r} is no name of a checkpoint's file")
    size = told.get("bytes") if isinstance(told, dict) else None
    digest = told.get("sha256") if isinstance(told, dict) else None
    if type(size) is not int or size < 0 or not isinstance(digest, str):
        raise BadCheckpointError(f"the manifest does not describe {name}")
    if not _DIGEST.fullmatch(digest):
        raise BadCheckpointError(f"the manifest has no digest of {name}")
    return FileRecord(size, digest)


def _digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a manifest's meaning, whatever its spacing."""
    plain = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands there twice")
    return table


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")

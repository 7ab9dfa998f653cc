"""Checkpoints as committed directories: whole or not there at all.

A directory is written under a hidden name, each file flushed to the disk, the
manifest last; then it gets its name by one rename. Files replaced one by one
can end up from different steps (9 of 30 kills, measured); a directory cannot.
No pickle: tensors are safetensors, everything else JSON. Knows bytes only, and
needs no torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ecotui import disk
from ecotui.durable import sync_file, sync_folder, write_whole
from ecotui.engine.manifest import (
    MANIFEST,
    BadCheckpointError,
    FileRecord,
    Manifest,
    OtherFormatError,
    encode_json,
    encode_manifest,
    open_plain_file,
    read_manifest,
)

__all__ = [
    "MANIFEST",
    "BadCheckpointError",
    "Committed",
    "Content",
    "OtherFormatError",
    "commit",
    "encode_json",
    "list_steps",
    "verify",
]

STEP_PATTERN = re.compile(r"step-(\d{10})-[0-9a-f]{8}")
BEST_PREFIX = "best_model_"
QUARANTINE = "quarantine"
CHUNK_BYTES = 8_388_608
"""Written, hashed and read back at once; between two chunks somebody else may take over."""
_WRITING_PREFIX, _DROPPING_PREFIX = ".tmp-", ".del-"

Content = bytes | Iterable[bytes | memoryview]
"""What a file is to hold: in one piece, or in several, which can be asked for again."""

_Result = TypeVar("_Result")
Steps = Generator[None, None, _Result]
"""Work in short steps, so that it can be dropped, or taken over by another thread."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A checkpoint that can be loaded.

    Attributes:
        path: Its directory.
        num_bytes: Of all its files.
    """

    path: Path
    num_bytes: int


def step_name(parent: Path, step: int) -> str:
    """Return a new name for the checkpoint of a step, behind all others of that step.

    One step can be saved more than once (at the interval, then at the epoch's
    end), and the later one stands further on.
    """
    prefix = f"step-{step:010d}-"
    taken = [-1]
    if parent.is_dir():
        names = [entry.name for entry in parent.iterdir() if STEP_PATTERN.fullmatch(entry.name)]
        taken += [int(name[-8:], 16) for name in names if name.startswith(prefix)]
    return f"{prefix}{max(taken) + 1:08x}"


def free_name(parent: Path, name: str) -> str:
    """Return a name that nothing in a folder has, with a number behind it where need be."""
    number, free = 1, name
    while os.path.lexists(parent / free):
        number += 1
        free = f"{name}-{number}"
    return free


def commit(
    parent: Path, name: str, files: Mapping[str, Content], facts: Mapping[str, Any]
) -> Committed:
    """Write a directory of files so that it is there whole or not at all.

    Args:
        parent: Where to; made if missing.
        name: Of the directory; nothing there may have it.
        files: Content by file name.
        facts: What the manifest says beside sizes and digests.

    Raises:
        OSError: Something could not be written; nothing is left behind.
    """
    return finished(commit_in_steps(parent, name, files, facts))


def commit_in_steps(
    parent: Path, name: str, files: Mapping[str, Content], facts: Mapping[str, Any]
) -> Steps[Committed]:
    """Do what `commit` does, stopping after each chunk; dropped half-way, it cleans up."""
    _make_folder(parent)
    folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        num_bytes = yield from _commit_into(folder, parent, name, files, facts)
    finally:
        with contextlib.suppress(OSError):  # nothing was written through it
            os.close(folder)
    return Committed(parent / name, num_bytes)


def finished(steps: Steps[_Result]) -> _Result:
    """Do all steps of a work at once and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


def drop(path: Path) -> None:
    """Remove a checkpoint: renamed first, so that it never lies there half gone.

    Raises:
        OSError: It stays.
    """
    doomed = path.with_name(f"{_DROPPING_PREFIX}{secrets.token_hex(8)}")
    os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def clear_leftovers(parent: Path) -> None:
    """Remove what a killed engine was writing or removing; only the lock's holder may."""
    if not parent.is_dir():
        return
    for entry in parent.iterdir():
        if not entry.name.startswith((_WRITING_PREFIX, _DROPPING_PREFIX)):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # it harms nobody
                entry.unlink()


def list_steps(parent: Path) -> list[Path]:
    """Return the committed checkpoints of steps, newest first by the step in the name."""
    return [path for path in _named_steps(parent) if _is_committed(path)]


def step_of(path: Path) -> int:
    """Return the step of a checkpoint of a state, by its name.

    Raises:
        ValueError: It is no such name.
    """
    found = STEP_PATTERN.fullmatch(path.name)
    if found is None:
        raise ValueError(path.name)
    return int(found[1])


def find_best(parent: Path) -> Path | None:
    """Return the best model's folder, or None where none is saved yet."""
    found = _bests(parent)
    return max(found, key=lambda path: _read_facts(path).get("step", -1), default=None)


def other_bests(parent: Path, name: str | None) -> list[Path]:
    """Return the folders of best models that another one has replaced."""
    return [] if name is None else [path for path in _bests(parent) if path.name != name]


def newest_valid(parent: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that verifies, and what was wrong with newer ones.

    A damaged one is moved to `quarantine/`, never deleted.
    """
    told: list[str] = []
    for path, _ in valid_steps(parent, told):
        return path, told
    return None, told


def valid_steps(parent: Path, told: list[str]) -> Iterator[tuple[Path, Manifest]]:
    """Yield the checkpoints that verify, newest first, and tell what is wrong with others.

    Args:
        parent: Where they lie. Damaged ones are moved to `quarantine/` in it.
        told: Gets a sentence for each that does not verify.
    """
    for path in _named_steps(parent):
        try:
            manifest = finished(verify_in_steps(path))
        except BadCheckpointError as error:
            told.append(f"{path.name}: {error}")
            if not isinstance(error, OtherFormatError):
                set_aside(path)
        else:
            yield path, manifest


def set_aside(path: Path) -> None:
    """Move a damaged checkpoint to `quarantine/`; it stays where the disk refuses."""
    aside = path.parent / QUARANTINE
    with contextlib.suppress(OSError):  # it is passed over again the next time
        aside.mkdir(mode=disk.FOLDER_MODE, exist_ok=True)
        os.rename(path, aside / f"{path.name}-{secrets.token_hex(2)}")


def verify(path: Path) -> dict[str, Any]:
    """Check a checkpoint's files against its manifest and return the manifest's facts.

    Raises:
        BadCheckpointError: A file is missing, or its size or digest is another.
    """
    return finished(verify_in_steps(path)).facts


def verify_in_steps(path: Path) -> Steps[Manifest]:
    """Do what `verify` does, stopping after each chunk, and return the manifest."""
    if path.is_symlink() or not path.is_dir():
        raise BadCheckpointError("it is no folder")
    manifest = read_manifest(path)
    named = STEP_PATTERN.fullmatch(path.name)
    if named and manifest.facts.get("step", int(named[1])) != int(named[1]):
        # Taken for the newest, it would be so for ever, whatever is saved after it.
        raise BadCheckpointError("it is the checkpoint of another step under this name")
    for name, record in manifest.files.items():
        try:
            yield from _verify_file(path / name, record)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise BadCheckpointError(f"{name} cannot be read: {why}") from error
    return manifest


def write_hint(parent: Path, name: str, target: str) -> None:
    """Note the name of a checkpoint in a file, for people and scripts; nothing here reads it."""
    with contextlib.suppress(OSError):  # never needed: a full disk is told of elsewhere
        write_whole(parent / name, f"{target}\n".encode())


def _named_steps(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    named = (entry for entry in parent.iterdir() if STEP_PATTERN.fullmatch(entry.name))
    return sorted(named, reverse=True)


def _bests(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    named = (entry for entry in parent.iterdir() if entry.name.startswith(BEST_PREFIX))
    return [path for path in named if _is_committed(path)]


def _is_committed(path: Path) -> bool:
    return not path.is_symlink() and (path / MANIFEST).is_file()


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        return read_manifest(path).facts
    except BadCheckpointError:
        return {}


def _make_folder(path: Path) -> None:
    """Make a folder, and its name durable, with those above it that are missing."""
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(mode=disk.FOLDER_MODE, exist_ok=True)
    sync_folder(path.parent)


def _commit_into(
    folder: int, parent: Path, name: str, files: Mapping[str, Content], facts: Mapping[str, Any]
) -> Steps[int]:
    current = f"{_WRITING_PREFIX}{secrets.token_hex(8)}"
    try:
        os.mkdir(current, disk.FOLDER_MODE, dir_fd=folder)
        num_bytes = yield from _fill(folder, current, files, facts)
        if os.path.lexists(parent / name):
            raise FileExistsError(errno.EEXIST, "it is there already", name)
        os.rename(current, name, src_dir_fd=folder, dst_dir_fd=folder)
        current = name
        sync_file(folder)
    except BaseException:
        # What has its name already, but maybe not on the disk, was not announced either.
        shutil.rmtree(parent / current, ignore_errors=True)
        raise
    return num_bytes


def _fill(
    folder: int, name: str, files: Mapping[str, Content], facts: Mapping[str, Any]
) -> Steps[int]:
    """Write the files of a checkpoint into its folder, the manifest last; return their size."""
    inner = disk.open_folder(name, within=folder)
    with disk.closing(inner):
        records: dict[str, FileRecord] = {}
        for file_name, content in files.items():
            records[file_name] = yield from _write_durably(inner, file_name, content)
        yield from _write_durably(inner, MANIFEST, encode_manifest(records, facts))
        sync_file(inner)
    return sum(record.num_bytes for record in records.values())


def _write_durably(folder: int, name: str, content: Content) -> Steps[FileRecord]:
    descriptor = os.open(name, disk.NEW_FILE_FLAGS, disk.FILE_MODE, dir_fd=folder)
    digest, num_bytes = hashlib.sha256(), 0
    with disk.closing(descriptor):
        for chunk in _chunks(content):
            disk.write_all(descriptor, chunk)
            digest.update(chunk)
            num_bytes += len(chunk)
            yield
        sync_file(descriptor)
    return FileRecord(num_bytes, digest.hexdigest())


def _chunks(content: Content) -> Iterator[memoryview | bytes]:
    """Cut what is large and join what is small, so that each write is worth its call."""
    small = bytearray()
    for piece in (content,) if isinstance(content, bytes) else content:
        view = memoryview(piece)
        if len(small) + len(view) <= CHUNK_BYTES and len(view) <= CHUNK_BYTES // 8:
            small += view
            continue
        if small:
            yield bytes(small)
            small.clear()
        for start in range(0, len(view), CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]
    if small:
        yield bytes(small)


def _verify_file(path: Path, record: FileRecord) -> Steps[None]:
    digest, num_bytes = hashlib.sha256(), 0
    with open(open_plain_file(path), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size != record.num_bytes:
            raise BadCheckpointError(f"{path.name} has {size} bytes instead of {record.num_bytes}")
        buffer = memoryview(bytearray(min(CHUNK_BYTES, size)))
        while num_bytes < size and (count := file.readinto(buffer)):
            digest.update(buffer[:count])
            num_bytes += count
            yield
    if num_bytes != size or digest.hexdigest() != record.sha256:
        raise BadCheckpointError(f"{path.name} is not the file that was saved")

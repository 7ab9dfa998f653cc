"""Checkpoints as committed directories: whole or not there at all.

A directory is written under a hidden name, each file flushed to the disk, the
manifest last; then it gets its name by one rename. Files replaced one by one
can end up from different steps (9 of 30 kills, measured); a directory cannot.
No pickle: tensors are safetensors, everything else JSON. Knows bytes only, and
needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui import __version__
from ecotui.durable import sync_file, sync_folder

MANIFEST = "MANIFEST.json"
FORMAT_VERSION = 1
STEP_PATTERN = re.compile(r"step-(\d{10})-[0-9a-f]{8}")
BEST_PREFIX = "best_model_"
_WRITING_PREFIX, _DROPPING_PREFIX = ".tmp-", ".del-"


@dataclass(frozen=True, slots=True)
class Committed:
    """A checkpoint that can be loaded.

    Attributes:
        path: Its directory.
        num_bytes: Of all its files.
    """

    path: Path
    num_bytes: int


class BadCheckpointError(Exception):
    """A checkpoint is not what its manifest says."""


def encode_json(record: Mapping[str, Any]) -> bytes:
    """Return a record as a JSON file; numbers must be finite or spelt as strings."""
    return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"


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


def commit(
    parent: Path, name: str, files: Mapping[str, bytes], facts: Mapping[str, Any]
) -> Committed:
    """Write a directory of files so that it is there whole or not at all.

    Args:
        parent: Where to; made if missing.
        name: Of the directory; one of that name is replaced.
        files: Content by file name.
        facts: What the manifest says beside sizes and digests.

    Raises:
        OSError: Something could not be written; nothing is left behind.
    """
    is_first = not parent.is_dir()
    parent.mkdir(parents=True, exist_ok=True)
    if is_first:
        sync_folder(parent.parent)
    writing = parent / f"{_WRITING_PREFIX}{secrets.token_hex(8)}"
    try:
        writing.mkdir(mode=0o755)
        for file_name, content in files.items():
            _write_durably(writing / file_name, content)
        _write_durably(writing / MANIFEST, _manifest(files, facts))
        sync_folder(writing)
        target = parent / name
        if target.exists():
            drop(target)
        writing.rename(target)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    sync_folder(parent)
    return Committed(target, sum(len(content) for content in files.values()))


def drop(path: Path) -> None:
    """Remove a checkpoint: renamed first, so that it never lies there half gone."""
    doomed = path.with_name(f"{_DROPPING_PREFIX}{secrets.token_hex(8)}")
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def clear_leftovers(parent: Path) -> None:
    """Remove what a killed engine was writing or removing; only the lock's holder may."""
    if not parent.is_dir():
        return
    for entry in parent.iterdir():
        if entry.name.startswith((_WRITING_PREFIX, _DROPPING_PREFIX)) and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)


def list_steps(parent: Path) -> list[Path]:
    """Return the committed checkpoints of steps, newest first by the step in the name."""
    if not parent.is_dir():
        return []
    named = [entry for entry in parent.iterdir() if STEP_PATTERN.fullmatch(entry.name)]
    return sorted((entry for entry in named if (entry / MANIFEST).is_file()), reverse=True)


def find_best(parent: Path) -> Path | None:
    """Return the best model's folder, or None where none is saved yet."""
    if not parent.is_dir():
        return None
    found = [
        entry
        for entry in parent.iterdir()
        if entry.name.startswith(BEST_PREFIX) and (entry / MANIFEST).is_file()
    ]
    return max(found, key=lambda path: _read_facts(path).get("step", -1), default=None)


def other_bests(parent: Path, name: str | None) -> list[Path]:
    """Return the folders of best models that another one has replaced."""
    if name is None or not parent.is_dir():
        return []
    return [
        entry
        for entry in parent.iterdir()
        if entry.name.startswith(BEST_PREFIX) and entry.name != name
    ]


def newest_valid(parent: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that verifies, and what was wrong with newer ones.

    A damaged one is moved to `quarantine/`, never deleted.
    """
    told: list[str] = []
    for path in list_steps(parent):
        try:
            verify(path)
        except BadCheckpointError as error:
            told.append(f"{path.name}: {error}")
            aside = parent / "quarantine"
            aside.mkdir(exist_ok=True)
            path.rename(aside / f"{path.name}-{secrets.token_hex(2)}")
        else:
            return path, told
    return None, told


def verify(path: Path) -> dict[str, Any]:
    """Check a checkpoint's files against its manifest and return the manifest's facts.

    Raises:
        BadCheckpointError: A file is missing, or its size or digest is another.
    """
    manifest = _read_manifest(path)
    for name, entry in manifest["files"].items():
        if "/" in name or name.startswith("."):
            raise BadCheckpointError(f"{name} is no name of a checkpoint's file")
        file = path / name
        try:
            size = file.lstat().st_size
            if size != entry["bytes"] or file.is_symlink():
                raise BadCheckpointError(f"{name} has {size} bytes instead of {entry['bytes']}")
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise BadCheckpointError(f"{name} cannot be read: {error.strerror}") from error
        if digest != entry["sha256"]:
            raise BadCheckpointError(f"{name} is not the file that was saved")
    facts: dict[str, Any] = manifest["facts"]
    return facts


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = _read_manifest(path)["facts"]
    except BadCheckpointError:
        return {}
    return facts


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise BadCheckpointError(f"the manifest cannot be read: {error}") from error
    if not (
        isinstance(manifest, dict)
        and manifest.get("format") == FORMAT_VERSION
        and isinstance(manifest.get("files"), dict)
        and isinstance(manifest.get("facts"), dict)
    ):
        raise BadCheckpointError("the manifest is not one of this version")
    return manifest


def _manifest(files: Mapping[str, bytes], facts: Mapping[str, Any]) -> bytes:
    return encode_json(
        {
            "format": FORMAT_VERSION,
            "writer": f"ecotui {__version__}",
            "files": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in files.items()
            },
            "facts": dict(facts),
        }
    )


def _write_durably(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        sync_file(descriptor)
    finally:
        os.close(descriptor)

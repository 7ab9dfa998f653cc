"""Paths that a list or a manifest names: inside the data, there, and named once."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path

from ecotui.engine.data.listing import Entry
from ecotui.errors import UsageError
from ecotui.text import counted, listed, visible


def relative_name(written: bytes, where: str) -> bytes:
    """Return a written path in its shortest form, relative to the data.

    Args:
        written: As it stands in the list or manifest.
        where: File and line, for the message.

    Raises:
        UsageError: The path is absolute, leaves the folder or holds a zero byte.
    """
    name = posixpath.normpath(written)
    leaves = name == b".." or name.startswith(b"../")
    if leaves or name == b"." or posixpath.isabs(name) or b"\0" in name:
        raise UsageError(
            f"{where} names {visible(os.fsdecode(written))}, which is not inside the data",
            "paths relative to the folder of photos that stay inside it",
            "correct that line, or set data.root to the folder that holds all the photos",
        )
    return name


def check_named_once(entries: Iterable[Entry], source: str) -> None:
    """Check that no file is named twice.

    Raises:
        UsageError: A file is in two splits, or twice in one.
    """
    seen: dict[bytes, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.name, entry)
        if first is entry:
            continue
        splits = f"in {first.split} and in {entry.split}" if first.split != entry.split else "twice"
        raise UsageError(
            f"{source}: {visible(os.fsdecode(entry.name))} is named {splits}",
            "each photo once, in one split: training on a photo that is scored is no measurement",
            "remove one of the lines",
        )


def check_present(root: Path, entries: Sequence[Entry], source: str) -> None:
    """Check that every file named is there.

    Raises:
        UsageError: Some are missing; the first few are named.
    """
    top = os.fsencode(root)
    missing = [entry.name for entry in entries if not os.path.exists(top + b"/" + entry.name)]
    if missing:
        names = listed((visible(os.fsdecode(name)) for name in missing), limit=3)
        raise UsageError(
            f"{source}: {counted(len(missing), 'file')} of {len(entries):,} cannot be found "
            f"in {visible(root)}: {names}",
            "every file that is named to be there",
            "put the files there, remove their lines, or correct data.root",
        )

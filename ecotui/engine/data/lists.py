"""The layout of split lists: train.txt, val.txt and maybe test.txt, a `class/file` a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ecotui.engine.data.folders import unreadable
from ecotui.engine.data.listing import Entry, Listing
from ecotui.engine.data.members import check_named_once, check_present, relative_name
from ecotui.errors import UsageError
from ecotui.events import SplitName
from ecotui.text import visible

LIST_FILES: dict[SplitName, str] = {"train": "train.txt", "val": "val.txt", "test": "test.txt"}
"""Where each split is listed; the test list may be absent."""


def read_lists(root: Path) -> Listing:
    """Read the split lists of a data set; the photos lie in `images/` or beside the lists.

    Raises:
        UsageError: A list is absent or unreadable, a line is not `class/file`, or
            a file is missing, outside the data or named twice.
    """
    entries: list[Entry] = []
    for split, file_name in LIST_FILES.items():
        path = root / file_name
        if path.is_file():
            entries += _entries(path, split)
        elif split != "test":
            raise UsageError(
                f"{visible(path)} is absent",
                "train.txt and val.txt, and maybe test.txt, in the folder of photos",
                "write that list, or set data.layout = 'auto'",
            )
    images = root / "images"
    base = images if images.is_dir() else root
    source = f"the lists of {visible(root)}"
    check_named_once(entries, source)
    check_present(base, entries, source)
    return Listing("lists", base, entries)


def _entries(path: Path, split: SplitName) -> Iterator[Entry]:
    for number, line in _lines(path):
        where = f"{visible(path)}, line {number},"
        name = relative_name(line, where)
        label, slash, _ = name.partition(b"/")
        if not slash:
            raise UsageError(
                f"{where} is '{visible(os.fsdecode(line))}'",
                "class/file, such as glass/glass12.jpg",
                "write the class's folder before the file's name",
            )
        yield Entry(name, os.fsdecode(label), split)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Return the lines that say something, with their numbers from 1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        text = line.strip()
        if text and not text.startswith(b"#"):
            yield number, text

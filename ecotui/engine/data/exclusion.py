"""Photos that a person has listed to be left out, taken out before ids and splits are made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ecotui.engine.data.listing import Listing
from ecotui.errors import UsageError
from ecotui.exclusion_list import read
from ecotui.text import counted, listed, visible

MAX_FILE_BYTES = 1_000_000_000
"""A larger file is no list of photos."""


def without_excluded(listing: Listing, exclude: str | None) -> Listing:
    """Return a listing without the photos on a list, with notes of how many there were.

    Args:
        listing: All photos of the data set.
        exclude: Path of the list (see `ecotui.exclusion_list`); None or empty for none.

    Raises:
        UsageError: The list cannot be read, or leaves a class without a photo.
    """
    if not exclude:
        return listing
    wanted = _names(Path(exclude))
    present = {entry.name for entry in listing.entries}
    kept = [entry for entry in listing.entries if entry.name not in wanted]
    _check_classes(listing, {entry.label for entry in kept}, exclude)
    num_left_out = len(listing.entries) - len(kept)
    count = counted(num_left_out, "photo was", "photos were")
    notes = [f"By {visible(exclude)}, {count} left out."]
    if unknown := sorted(wanted - present):
        names = listed((visible(os.fsdecode(name)) for name in unknown), limit=3)
        count = counted(len(unknown), "line names a file", "lines name files")
        notes.append(f"{visible(exclude)}: {count} that is not among the photos: {names}.")
    return replace(listing, entries=kept, notes=(*listing.notes, *notes))


def _names(path: Path) -> set[bytes]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"{visible(path)} is larger than 1 GB", "a list of photos", "correct data.exclude"
            )
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the list of photos to leave out, {visible(path)}, cannot be read: "
            f"{visible(error.strerror or error)}",
            "a file with a path relative to data.root a line",
            "correct data.exclude, or remove it",
        ) from None
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return {name for name in map(read, lines) if name is not None}


def _check_classes(listing: Listing, left: set[str], exclude: str) -> None:
    gone = sorted({entry.label for entry in listing.entries} - left)
    if gone:
        names = listed((f"'{visible(name, limit=80)}'" for name in gone), limit=5)
        raise UsageError(
            f"by {visible(exclude)} no photo is left of {counted(len(gone), 'class', 'classes')}: "
            f"{names}",
            "at least two photos in every class",
            "remove some of their lines, or remove the class from the data",
        )

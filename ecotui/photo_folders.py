"""What a folder seems to hold, by the names in it: other folders, and photos counted by class.

A quick look while a person chooses; what the data set really is, the engine says (`DescribeJob`).
No photo is opened, and links are not followed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ecotui.text import counted, listed, visible

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_ENTRIES = 2_000
"""Looked at in one folder; a folder with more is told as having at least so many."""
MAX_FOLDERS = 100
"""Of which the photos are counted."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a folder.

    Attributes:
        folders: Names of the folders in it, sorted, hidden ones left out.
        counts: Photos in each of the first hundred, the folders without any left out.
        num_photos: Photos in the folder itself.
        is_whole: Whether everything was counted.
        fault: Why nothing could be seen; empty otherwise.
    """

    folders: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    num_photos: int = 0
    is_whole: bool = True
    fault: str = ""

    @property
    def words(self) -> str:
        """What was seen, in a line, harmless to show."""
        if self.fault:
            return self.fault
        if self.counts:
            total = sum(count for _, count in self.counts)
            least = "" if self.is_whole else "at least "
            classes = listed((f"{visible(n, limit=30)} {c:,}" for n, c in self.counts), limit=6)
            folders = counted(len(self.counts), "folder")
            return f"{folders} with {least}{counted(total, 'photo')}: {classes}"
        if self.num_photos:
            return f"{counted(self.num_photos, 'photo')}, and no folder a class"
        if self.folders:
            return f"no photos here; {counted(len(self.folders), 'folder')} to look into"
        return "nothing here to train on"


def names_in(folder: Path) -> tuple[list[str], int, bool]:
    """Return the folders in a folder, its number of photos, and whether everything was seen.

    Raises:
        OSError: It cannot be read.
    """
    with os.scandir(folder) as entries:
        seen = list(islice(entries, MAX_ENTRIES + 1))
    folders = sorted(
        entry.name for entry in seen if not entry.name.startswith(".") and _is_folder(entry)
    )
    photos = sum(entry.name.lower().endswith(PHOTO_ENDINGS) for entry in seen)
    return folders, photos, len(seen) <= MAX_ENTRIES


def look(folder: Path) -> Look:
    """Return what a folder seems to hold."""
    try:
        folders, num_photos, is_whole = names_in(folder)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return Look(fault=f"cannot be read: {visible(why)}")
    counts: list[tuple[str, int]] = []
    for name in folders[:MAX_FOLDERS]:
        try:
            _, photos, is_all = names_in(folder / name)
        except OSError:
            continue
        is_whole = is_whole and is_all
        if photos:
            counts.append((name, photos))
    is_whole = is_whole and len(folders) <= MAX_FOLDERS
    return Look(tuple(folders), tuple(counts), num_photos, is_whole)


def completions(typed: Path, ends_in_slash: bool) -> tuple[Path, list[str]]:
    """Return the folder that a typed path is in, and the folders in it that it may become.

    Args:
        typed: What is typed so far, `~` resolved.
        ends_in_slash: Whether the last name is finished.
    """
    folder, begun = (typed, "") if ends_in_slash else (typed.parent, typed.name)
    try:
        folders, _, _ = names_in(folder)
    except (OSError, ValueError):
        return folder, []
    return folder, [name for name in folders if name.lower().startswith(begun.lower())]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False

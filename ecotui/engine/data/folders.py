"""Walking folders of photos: which files are photos, what is passed over, what is unreadable."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ecotui.errors import UsageError
from ecotui.text import counted, listed, visible

IMAGE_EXTENSIONS = frozenset({b"jpg", b"jpeg", b"png", b"webp", b"bmp", b"gif", b"tif", b"tiff"})
"""Endings of file names that are taken for photos, in lower case."""


@dataclass(slots=True)
class PassedOver:
    """What a walk left out, counted for the notes."""

    num_hidden: int = 0
    num_loose: int = 0
    """Photos in no class folder."""
    other_extensions: Counter[str] = field(default_factory=Counter)
    other_folders: list[str] = field(default_factory=list)
    """Folders beside those of the splits."""
    links: list[str] = field(default_factory=list)
    """Folders that are links and were not followed."""

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, a sentence each."""
        said: list[str] = []
        if self.num_hidden:
            count = counted(self.num_hidden, "hidden file or folder", "hidden files or folders")
            said.append(f"Passed over {count}.")
        if self.num_loose:
            said.append(f"Passed over {counted(self.num_loose, 'photo')} in no class folder.")
        if self.other_extensions:
            common = self.other_extensions.most_common()
            kinds = listed(visible(kind, limit=20) for kind, _ in common)
            count = counted(self.other_extensions.total(), "file")
            said.append(f"Passed over {count} that are not photos by their names: {kinds}.")
        if self.other_folders:
            said.append(
                "Passed over folders that are neither train, val nor test: "
                f"{listed(map(visible, self.other_folders))}."
            )
        if self.links:
            said.append(f"Did not follow linked folders: {listed(map(visible, self.links))}.")
        return tuple(said)


def list_subfolders(folder: Path, passed_over: PassedOver) -> list[str]:
    """Return the names of the visible folders in a folder, sorted; links are followed here.

    A linked class folder is common (a subset made of links); a link that leads back
    to a folder above itself is not followed.

    Raises:
        UsageError: The folder cannot be read.
    """
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    passed_over.num_hidden += 1
                elif not entry.is_dir():
                    _count_loose(entry.name, passed_over)
                elif entry.is_symlink() and _leads_back(entry.path, folder):
                    passed_over.links.append(entry.name)
                else:
                    found.append(entry.name)
    except OSError as error:
        raise unreadable(folder, error) from None
    return sorted(found)


def images_below(folder: Path, passed_over: PassedOver) -> list[bytes]:
    """Return the photos in a folder at any depth, as paths relative to it, unsorted.

    Raises:
        UsageError: The folder or one below it cannot be read.
    """
    top = os.fsencode(folder)
    found: list[bytes] = []
    for parent, folders, files in os.walk(top, onerror=_raise_unreadable):
        kept = [name for name in folders if not name.startswith(b".")]
        passed_over.num_hidden += len(folders) - len(kept)
        folders[:] = kept
        links = (os.path.join(parent, name) for name in kept)
        passed_over.links += [os.fsdecode(link) for link in links if os.path.islink(link)]
        prefix = parent[len(top) + 1 :] + b"/" if parent != top else b""
        found += [prefix + name for name in files if _is_image(name, passed_over)]
    return found


def unreadable(folder: str | bytes | os.PathLike[str], error: OSError) -> UsageError:
    """Return the three lines for a folder that cannot be read."""
    return UsageError(
        f"the folder {visible(os.fsdecode(folder))} cannot be read: "
        f"{visible(error.strerror or error)}",
        "a folder of photos that may be listed",
        "give yourself the right to read it (chmod u+rx), or move it out of the data",
    )


def _raise_unreadable(error: OSError) -> None:
    raise unreadable(error.filename, error) from None


def _leads_back(link: str, folder: Path) -> bool:
    target = os.path.realpath(link)
    place = os.path.realpath(folder)
    return place == target or place.startswith(target.rstrip("/") + "/")


def _extension(name: bytes) -> bytes:
    return os.path.splitext(name)[1][1:].lower()


def _is_image(name: bytes, passed_over: PassedOver) -> bool:
    if name.startswith(b"."):
        passed_over.num_hidden += 1
        return False
    extension = _extension(name)
    if extension in IMAGE_EXTENSIONS:
        return True
    passed_over.other_extensions[_kind(extension)] += 1
    return False


def _count_loose(name: str, passed_over: PassedOver) -> None:
    extension = _extension(os.fsencode(name))
    if extension in IMAGE_EXTENSIONS:
        passed_over.num_loose += 1
    else:
        passed_over.other_extensions[_kind(extension)] += 1


def _kind(extension: bytes) -> str:
    return "." + os.fsdecode(extension) if extension else "no extension"

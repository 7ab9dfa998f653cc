"""The layouts made of folders: found out, and read into a listing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from ecotui.config import DataConfig
from ecotui.engine.data.folders import PassedOver, images_below, list_subfolders
from ecotui.engine.data.listing import SPLIT_ALIASES, Entry, Listing
from ecotui.engine.data.lists import read_lists
from ecotui.engine.data.manifest import read_manifest
from ecotui.errors import UsageError
from ecotui.events import SplitName
from ecotui.text import visible

Layout = Literal["lists", "splits", "classes", "manifest"]


def read_layout(root: Path, config: DataConfig) -> Listing:
    """Read a data set by the layout that is asked for or found.

    Args:
        root: An existing, readable folder.
        config: `layout` and `manifest` count here.

    Raises:
        UsageError: The folder does not hold the layout, or cannot be read.
    """
    layout = _found_layout(root, config) if config.layout == "auto" else config.layout
    if layout == "lists":
        return read_lists(root)
    if layout == "manifest":
        return read_manifest(root, config.manifest or "")
    return _read_splits(root) if layout == "splits" else _read_classes(root)


def _found_layout(root: Path, config: DataConfig) -> Layout:
    if config.manifest is not None:
        return "manifest"
    if (root / "train.txt").is_file() and (root / "val.txt").is_file():
        return "lists"
    folders = list_subfolders(root, PassedOver())
    splits = {SPLIT_ALIASES.get(name.lower()) for name in folders}
    if {"train", "val"} <= splits:
        return "splits"
    # A class may be called train: it is a split only where nothing but a test stands beside it.
    return "splits" if "train" in splits <= {"train", "test"} else "classes"


def _read_classes(root: Path) -> Listing:
    passed_over = PassedOver()
    entries, empty = _class_folders(root, "", None, passed_over)
    return Listing("classes", root, entries, tuple(empty), passed_over.notes())


def _read_splits(root: Path) -> Listing:
    passed_over = PassedOver()
    folders = _split_folders(root, passed_over)
    entries: list[Entry] = []
    empty: list[str] = []
    for split, folder in folders.items():
        found, without = _class_folders(root / folder, folder + "/", split, passed_over)
        entries += found
        # An empty class folder in val is told as the class that validation lacks.
        empty += [f"{folder}/{name}" for name in without if split == "train"]
    return Listing("splits", root, entries, tuple(empty), passed_over.notes())


def _split_folders(root: Path, passed_over: PassedOver) -> dict[SplitName, str]:
    folders: dict[SplitName, str] = {}
    for name in list_subfolders(root, passed_over):
        split = SPLIT_ALIASES.get(name.lower())
        if split is None:
            passed_over.other_folders.append(name)
        elif split in folders:
            raise UsageError(
                f"{visible(root)} has two {split} folders: {folders[split]} and {name}",
                "one folder each for train, val and test",
                f"rename or remove one of {folders[split]} and {name}",
            )
        else:
            folders[split] = name
    if "train" not in folders:
        raise UsageError(
            f"{visible(root)} has no train folder",
            "the folders train and val, each with a folder a class",
            "name them so, or set data.layout = 'auto'",
        )
    return folders


def _class_folders(
    folder: Path, prefix: str, split: SplitName | None, passed_over: PassedOver
) -> tuple[list[Entry], list[str]]:
    """Return the samples below a folder of class folders, and the classes without one."""
    entries: list[Entry] = []
    empty: list[str] = []
    for label in list_subfolders(folder, passed_over):
        found = images_below(folder / label, passed_over)
        start = os.fsencode(f"{prefix}{label}/")
        entries += [Entry(start + name, label, split) for name in found]
        if not found:
            empty.append(label)
    return entries, empty

"""What a data set must be like to be trained on; every fault in three lines."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.data.folders import IMAGE_EXTENSIONS, unreadable
from ecotui.engine.data.listing import Listing
from ecotui.errors import UsageError
from ecotui.text import counted, listed, visible


def check_root(root: str) -> None:
    """Check that the data root is a folder.

    Raises:
        UsageError: It is not set, absent, not a folder, or cannot be reached.
    """
    expected = "a folder of photos with one sub-folder a class"
    if not root:
        raise UsageError(
            "data.root is not set", expected, "set it: --set data.root=FOLDER, or in the config"
        )
    try:
        mode = os.stat(root).st_mode
    except FileNotFoundError:
        raise UsageError(
            f"the data root {visible(root)} does not exist", expected, "correct data.root"
        ) from None
    except OSError as error:
        raise unreadable(root, error) from None
    except ValueError as error:  # a zero byte in the path
        raise UsageError(
            f"the data root {visible(root)} is not a path: {visible(error)}",
            expected,
            "correct data.root",
        ) from None
    if not stat.S_ISDIR(mode):
        raise UsageError(
            f"the data root {visible(root)} is a file",
            expected,
            "set data.root to the folder; for a CSV file also data.manifest",
        )


def check_classes(listing: Listing, root: Path, class_names: Sequence[str]) -> None:
    """Check that there are photos in at least two classes, and none of them empty.

    Raises:
        UsageError: No photo, an empty class folder, or one class.
    """
    if not listing.entries:
        endings = ", ".join(sorted(ending.decode() for ending in IMAGE_EXTENSIONS))
        passed_over = " ".join(["", *listing.notes])
        raise UsageError(
            f"there are no photos in {visible(root)} (read as layout '{listing.layout}')."
            f"{passed_over}",
            f"a folder a class, with photos that end in {endings}",
            "correct data.root, or put the photos into a folder a class",
        )
    if listing.empty_classes:
        raise UsageError(
            f"{counted(len(listing.empty_classes), 'class folder')} without a photo: "
            f"{_named(listing.empty_classes)}",
            "at least two photos in every class folder",
            "add photos to each, or remove the folder",
        )
    if len(class_names) == 1:
        raise UsageError(
            f"there is one class only, {_named(class_names)}, in {visible(root)} "
            f"(read as layout '{listing.layout}')",
            "at least two classes to tell apart",
            "add a folder for each other class, or correct data.root",
        )


def check_splittable(
    listing: Listing, labels: NDArray[np.int64], class_names: Sequence[str]
) -> None:
    """Check that every class can be in train and in validation.

    Args:
        listing: What is to be split.
        labels: Of the samples to be split.
        class_names: Name of each label.

    Raises:
        UsageError: A class has a single photo, or none outside the test split.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    few = [name for name, count in zip(class_names, counts, strict=True) if count < 2]
    if few:
        raise UsageError(
            f"{counted(len(few), 'class', 'classes')} with fewer than two photos to split: "
            f"{_named(few)}",
            "at least two photos a class: one to train on, another one to validate with",
            "add photos to each, or remove "
            + ("the folder" if listing.layout in ("classes", "splits") else "the class"),
        )


def check_splits(
    assigned: NDArray[np.str_], labels: NDArray[np.int64], class_names: Sequence[str]
) -> None:
    """Check that train and validation hold the same classes, and test no other.

    Raises:
        UsageError: A class is absent from train or from validation.
    """
    present = {split: set(labels[assigned == split].tolist()) for split in ("train", "val", "test")}
    untaught = (present["val"] | present["test"]) - present["train"]
    if untaught:
        raise UsageError(
            f"{_classes(class_names, untaught)} in validation or test, but not in train",
            "every class in train, by the same name",
            "add photos of it to train, correct the name, or remove the class",
        )
    unseen = present["train"] - present["val"]
    if unseen:
        raise UsageError(
            f"{_classes(class_names, unseen)} in train, but not in validation",
            "at least one photo of every class in validation, by the same name",
            "move some of its photos to validation, correct the name, or remove the class",
        )


def _classes(class_names: Sequence[str], labels: Iterable[int]) -> str:
    names = [class_names[label] for label in sorted(labels)]
    verb = "is" if len(names) == 1 else "are"
    return f"{counted(len(names), 'class', 'classes')} ({_named(names)}) {verb}"


def _named(names: Iterable[str]) -> str:
    return listed((f"'{visible(name, limit=80)}'" for name in names), limit=5)

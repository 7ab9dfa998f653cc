"""Folders of photos become an index: sample ids, labels and splits, in flat arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecotui.config import DEMO_PREFIX, DataConfig
from ecotui.engine.data.checks import (
    check_classes,
    check_root,
    check_splits,
    check_splittable,
)
from ecotui.engine.data.demo import demo_root
from ecotui.engine.data.exclusion import without_excluded
from ecotui.engine.data.layouts import read_layout
from ecotui.engine.data.listing import Entry, Listing
from ecotui.engine.data.manifest import write_manifest
from ecotui.engine.data.split import ids_of, stratified_split
from ecotui.events import SplitName
from ecotui.text import percent

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
_NAMES_AT_ONCE = 4_096


class Names:
    """File names in one block of memory: a million of them as a list cost some 100 MB.

    Forked workers would copy such a list page by page, as each look at a string
    writes its reference count.
    """

    __slots__ = ("_block", "_ends")

    def __init__(self, names: Iterable[bytes]) -> None:
        kept = list(names)
        self._block = b"".join(kept)
        self._ends = np.cumsum([0, *map(len, kept)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> str:
        """Return a name; bytes that are not UTF-8 become lone surrogates."""
        return os.fsdecode(self.raw(position))

    def raw(self, position: int) -> bytes:
        """Return a name's bytes."""
        if not 0 <= position < len(self):
            raise IndexError(position)
        return self._block[self._ends[position] : self._ends[position + 1]]

    def raws(self, start: int = 0) -> Iterator[bytes]:
        """Return the bytes of names one by one, from a position on."""
        begin = int(self._ends[start])
        for first in range(start + 1, len(self._ends), _NAMES_AT_ONCE):
            for end in self._ends[first : first + _NAMES_AT_ONCE].tolist():
                yield self._block[begin:end]
                begin = end

    @property
    def block(self) -> bytes:
        """All names in one piece, without anything between them."""
        return self._block

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each name begins in the block, and where the last one ends, `[N + 1]`."""
        return self._ends

    @classmethod
    def from_block(cls, block: bytes, ends: NDArray[np.int64]) -> Names:
        """Return the names of a block."""
        names = cls(())
        names._block, names._ends = block, ends
        return names


@dataclass(frozen=True, slots=True, eq=False)
class DataIndex:
    """A data set: which photo has which label, in which split.

    A sample id is the rank of the photo's relative path among all of the data set,
    by bytes.

    Attributes:
        root: Folder that names are relative to.
        layout: `lists`, `splits`, `classes` or `manifest`.
        class_names: Of each label, sorted, raw: pass them through `visible` to show them.
        names: Relative path of each sample, raw as well.
        labels: Class of each sample, `[N]`.
        splits: Sample ids of train, val and test, ascending; test may be empty.
        notes: Sentences about what was decided or passed over, fit to be shown.
    """

    root: Path
    layout: str
    class_names: tuple[str, ...]
    names: Names
    labels: NDArray[np.int64]
    splits: dict[SplitName, NDArray[np.int64]]
    notes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def path_of(self, sample_id: int) -> Path:
        """Return the path of a sample's file."""
        return self.root / self.names[sample_id]

    def class_counts(self, split: SplitName) -> NDArray[np.int64]:
        """Return the number of samples of each class in a split, `[num_classes]`."""
        counts = np.bincount(self.labels[self.splits[split]], minlength=self.num_classes)
        return counts.astype(np.int64)


def build_index(config: DataConfig, seed: int, *, lacks_classes: bool = False) -> DataIndex:
    """Read a data set: find its layout, its classes and its split.

    Args:
        config: Root, layout and fractions.
        seed: Of the run; decides the split where the data brings none.
        lacks_classes: Classes may be missing in a split: it is to be looked at, not trained on.

    Raises:
        UsageError: The root or the layout is not one that can be trained on.
        EnvironmentFaultError: The demo's images cannot be made.
    """
    root = _root_of(config)
    listing = without_excluded(read_layout(root, config), config.exclude)
    listing.entries.sort(key=lambda entry: entry.name)
    named = {entry.label for entry in listing.entries}
    if lacks_classes and named:
        named |= {folder.rpartition("/")[2] for folder in listing.empty_classes}
        listing = replace(listing, empty_classes=())
    class_names = tuple(sorted(named))
    check_classes(listing, root, class_names)
    number = {name: label for label, name in enumerate(class_names)}
    labels = np.array([number[entry.label] for entry in listing.entries], dtype=np.int64)
    check = (lambda *_: None) if lacks_classes else check_splittable
    assigned, notes = _assigned(listing, labels, class_names, config, seed, check)
    if not lacks_classes:
        check_splits(assigned, labels, class_names)
    return DataIndex(
        root=listing.root,
        layout=listing.layout,
        class_names=class_names,
        names=Names(entry.name for entry in listing.entries),
        labels=labels,
        splits={split: ids_of(assigned, split) for split in SPLITS},
        notes=notes + listing.notes,
    )


def write_split(index: DataIndex, path: Path) -> None:
    """Write path, label and split of every sample as CSV, in the order of sample ids.

    The file is a manifest: the same data set can be read through it.

    Raises:
        OSError: The file cannot be written.
    """
    split_of = np.empty(len(index.names), dtype="U5")
    for split, ids in index.splits.items():
        split_of[ids] = split
    rows = (
        (index.names[sample_id], index.class_names[label], str(split_of[sample_id]))
        for sample_id, label in enumerate(index.labels)
    )
    write_manifest(path, rows)


def _root_of(config: DataConfig) -> Path:
    if config.root.startswith(DEMO_PREFIX):
        return demo_root(config.root.removeprefix(DEMO_PREFIX))
    check_root(config.root)
    return Path(config.root).absolute()


def _assigned(
    listing: Listing,
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    config: DataConfig,
    seed: int,
    check: Callable[[Listing, NDArray[np.int64], Sequence[str]], None],
) -> tuple[NDArray[np.str_], tuple[str, ...]]:
    """Return the split of each sample, and what was decided about it."""
    given = np.array([entry.split or "train" for entry in listing.entries], dtype="U5")
    if "val" in given:
        return given, ()
    pool = np.flatnonzero(given == "train")
    check(listing, labels[pool], class_names)
    test_fraction = 0.0 if "test" in given else config.test_fraction
    given[pool] = stratified_split(
        labels[pool],
        class_names,
        seed=seed,
        val_fraction=config.val_fraction,
        test_fraction=test_fraction,
    )
    return given, (_split_note(listing.entries, config.val_fraction, test_fraction, seed),)


def _split_note(entries: list[Entry], val_fraction: float, test_fraction: float, seed: int) -> str:
    came = "no split" if entries[0].split is None else "no validation split"
    shares = f"{percent(val_fraction, 0)} of each class were set apart for validation"
    if test_fraction > 0.0:
        shares += f" and {percent(test_fraction, 0)} for testing"
    return f"The data brings {came}: {shares} (by train.seed = {seed})."

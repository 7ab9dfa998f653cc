"""What the audit has found, before it is told: which photos, why, and what they clash with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ecotui.engine.data.index import DataIndex
from ecotui.envelope import SplitName
from ecotui.findings import Verdict

NOBODY = -1
"""Stands for no photo."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo, or a class, that a finding is about.

    Attributes:
        sample_id: Of the photo; -1 where the entry is about a class.
        detail: Why this one, in words fit to be shown.
        other: Sample id of the photo that it clashes with; -1 for none.
        is_left_out: Whether the exclusion list of the category names it.
        label: Number of the class, where the entry is about one.
        split: Name of the split, where the entry is about a class.
    """

    sample_id: int
    detail: str = ""
    other: int = NOBODY
    is_left_out: bool = True
    label: int = NOBODY
    split: SplitName | None = None

    def label_in(self, index: DataIndex) -> int:
        """Return the number of the class that the entry belongs to."""
        return self.label if self.sample_id == NOBODY else int(index.labels[self.sample_id])

    def split_in(self, splits: Sequence[SplitName]) -> str:
        """Return the split that the entry belongs to; empty for none.

        Args:
            splits: Of each sample.
        """
        return self.split or "" if self.sample_id == NOBODY else splits[self.sample_id]


@dataclass(frozen=True, slots=True)
class Finding:
    """Photos of one kind.

    Attributes:
        category: Name of the kind.
        entries: The worst first.
        what: What was found, for a person.
        verdict: None for that of the category.
        num_files: Photos concerned.
    """

    category: str
    entries: Sequence[Entry]
    what: str
    num_files: int
    verdict: Verdict | None = None
    extra: dict[str, object] = field(default_factory=dict)
    """Figures for the file of all findings."""


def splits_of(index: DataIndex) -> list[SplitName]:
    """Return the split of each sample, in order."""
    names: list[SplitName] = ["train"] * len(index.names)
    for split, ids in index.splits.items():
        for sample_id in ids.tolist():
            names[sample_id] = split
    return names

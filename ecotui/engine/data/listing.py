"""What every layout is read into: a listing of samples, before ids and checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ecotui.events import SplitName

SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What data sets call the three splits."""


class Entry(NamedTuple):
    """A sample as the layout names it."""

    name: bytes
    """Path relative to the listing's root."""
    label: str
    split: SplitName | None
    """None where the layout brings no split."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The samples of a data set in no particular order.

    Attributes:
        layout: `lists`, `splits`, `classes` or `manifest`.
        root: Folder that names are relative to.
        entries: The samples.
        empty_classes: Names of class folders without a photo.
        notes: Sentences about what was decided or passed over.
    """

    layout: str
    root: Path
    entries: list[Entry]
    empty_classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

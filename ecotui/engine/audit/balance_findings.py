"""Findings about classes and splits: known from names alone, without reading a photo."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from ecotui.engine.audit.findings import NOBODY, Entry, Finding
from ecotui.engine.data.index import SPLITS, DataIndex
from ecotui.findings import Verdict
from ecotui.text import counted, listed, visible

MAX_RATIO = 10.0
"""Largest class over smallest, in train, above which classes are called unbalanced.

Source: Buda, Maki and Mazurowski, "A systematic study of the class imbalance problem in
convolutional neural networks": the effect shows from a ratio of about ten on.
"""

MIN_TRAIN, MIN_HELD_OUT = 20, 5
"""Photos of a class. One of five is a fifth of its recall; below twenty little is learned."""


def balance_findings(index: DataIndex) -> Iterator[Finding]:
    """Yield classes that are absent, clash, are few or out of proportion.

    Labels that are none of the classes are layer 3's to tell: nothing is counted then.
    """
    if index.labels.size and not 0 <= index.labels.min() <= index.labels.max() < index.num_classes:
        return
    yield from _missing(index)
    yield from _clashes(index)
    yield from _few(index)
    yield from _balance(index)


def _missing(index: DataIndex) -> Iterator[Finding]:
    entries = [
        Entry(NOBODY, f"no photo in {split}", label=int(label), split=split)
        for split in SPLITS
        if len(index.splits[split])
        for label in np.flatnonzero(index.class_counts(split) == 0)
    ]
    if entries:
        names = listed((f"{_name(index, each)} ({each.split})" for each in entries), limit=5)
        count = counted(len(entries), "class is", "classes are")
        # Without training photos nothing is learned, without validation photos nothing is
        # known of it: a training refuses both.
        is_refused = any(each.split != "test" for each in entries)
        verdict: Verdict = "fail" if is_refused else "warn"
        what = f"{count} missing in a split: {names}"
        yield Finding("missing_classes", entries, what, 0, verdict)


def _clashes(index: DataIndex) -> Iterator[Finding]:
    alike: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(index.class_names):
        alike[_bare(name)].append(label)
    counts = np.bincount(index.labels, minlength=index.num_classes)
    groups = [labels for labels in alike.values() if len(labels) > 1]
    entries = [
        Entry(NOBODY, f"'{visible(index.class_names[label])}'", label=label)
        for labels in groups
        for label in labels
    ]
    if entries:
        named = listed((each.detail for each in entries), limit=6)
        what = f"{counted(len(entries), 'class name')} hardly to be told apart: {named}"
        num_files = int(counts[[each.label for each in entries]].sum())
        yield Finding("class_names", entries, what, num_files)


def _bare(name: str) -> str:
    """Return a name without case, accents, spaces, dashes and what does not show."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in letters if each.isalnum()) or name


def _few(index: DataIndex) -> Iterator[Finding]:
    entries: list[Entry] = []
    num_files = 0
    for split in SPLITS:
        counts = index.class_counts(split)
        limit = MIN_TRAIN if split == "train" else MIN_HELD_OUT
        for label in np.flatnonzero((counts > 0) & (counts < limit)).tolist():
            detail = f"{counted(int(counts[label]), 'photo')} in {split}"
            entries.append(Entry(NOBODY, detail, label=label, split=split))
            num_files += int(counts[label])
    if entries:
        named = listed((f"{_name(index, each)} ({each.detail})" for each in entries), limit=5)
        what = f"{counted(len({each.label for each in entries}), 'class', 'classes')} with few "
        yield Finding("few_photos", entries, f"{what}photos: {named}", num_files)


def _balance(index: DataIndex) -> Iterator[Finding]:
    counts = index.class_counts("train")
    order = np.argsort(counts, kind="stable")
    small, large = int(order[0]), int(order[-1])
    ratio = float(counts[large]) / max(1, int(counts[small]))
    what = (
        f"classes have from {int(counts[small]):,} ({visible(index.class_names[small])}) to "
        f"{int(counts[large]):,} photos ({visible(index.class_names[large])}) to train on"
    )
    entries = [
        Entry(NOBODY, counted(int(counts[label]), "photo"), label=int(label), split="train")
        for label in order
    ]
    verdict: Verdict = "warn" if ratio > MAX_RATIO else "pass"
    extra: dict[str, object] = {"ratio": round(ratio, 2)}
    yield Finding("class_balance", entries, what, int(counts.sum()), verdict, extra)


def _name(index: DataIndex, entry: Entry) -> str:
    return f"'{visible(index.class_names[entry.label], limit=60)}'"

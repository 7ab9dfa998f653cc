"""The part of a data set that an audit had time to look at, as a data set of its own."""

from __future__ import annotations

import numpy as np

from ecotui.engine.audit.records import Outcome
from ecotui.engine.audit.scan import Scan
from ecotui.engine.data.index import DataIndex, Names


class OutOfTimeError(Exception):
    """A comparison of photos would take longer than it may."""


def looked_at(index: DataIndex, found: Scan) -> tuple[DataIndex, Scan]:
    """Return the photos that were read and what is known of them; all of them where all were.

    Args:
        index: The data set.
        found: What is known of its photos.
    """
    if not found.num_left_out:
        return index, found
    ids = np.flatnonzero(found.rows["outcome"] != Outcome.UNKNOWN)
    places = {sample_id: place for place, sample_id in enumerate(ids.tolist())}
    part = DataIndex(
        root=index.root,
        layout=index.layout,
        class_names=index.class_names,
        names=Names(index.names.raw(sample_id) for sample_id in ids.tolist()),
        labels=index.labels[ids],
        splits={
            split: np.flatnonzero(np.isin(ids, members)).astype(np.int64)
            for split, members in index.splits.items()
        },
        notes=index.notes,
    )
    seen = Scan(
        found.rows[ids],
        found.tiles[ids],
        {places[sample_id]: words for sample_id, words in found.remarks.items()},
        num_read=found.num_read,
        num_bytes=found.num_bytes,
        num_left_out=found.num_left_out,
    )
    return part, seen

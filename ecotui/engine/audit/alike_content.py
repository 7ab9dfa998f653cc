"""Which files may be the same to the byte, and the hash that says whether they are."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ecotui.engine.audit.reading import content_hash
from ecotui.engine.audit.records import Rows
from ecotui.engine.data.decode import DecodeError
from ecotui.engine.data.index import DataIndex


def hash_alike(index: DataIndex, rows: Rows, poll: Callable[[], None]) -> int:
    """Fill in `content` of files that agree with another in size and checksum.

    Nearly no two photos of a set agree in both, so nearly none is read a second time.

    Args:
        index: The data set.
        rows: Of its files; `size` and `checksum` are read, `content` is written.
        poll: Called before each file; what it raises ends the work.

    Returns:
        How many files were hashed now; those that have a hash already are left.
    """
    alike = _alike(rows)
    missing = alike[~rows["content"][alike].any(axis=1)]
    for sample_id in missing.tolist():
        poll()
        try:
            content = content_hash(os.fspath(index.path_of(sample_id)))
        except (OSError, DecodeError):  # Gone or changed since: not the same as another.
            continue
        rows["content"][sample_id] = np.frombuffer(content, dtype="<u8")
    return len(missing)


def _alike(rows: Rows) -> NDArray[np.int64]:
    """Return the ids of files that have size and checksum of another one."""
    known = np.flatnonzero((rows["checksum"] != 0) & (rows["size"] > 0))
    sizes, checksums = rows["size"][known], rows["checksum"][known]
    order = np.lexsort((sizes, checksums))
    is_next_alike = (np.diff(sizes[order]) == 0) & (checksums[order][1:] == checksums[order][:-1])
    is_alike = np.zeros(len(known), dtype=np.bool_)
    is_alike[1:] |= is_next_alike
    is_alike[:-1] |= is_next_alike
    found: NDArray[np.int64] = known[order[is_alike]]
    return found

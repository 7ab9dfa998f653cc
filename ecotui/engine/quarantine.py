"""Samples that were set aside, as `quarantine.jsonl` tells it, and those that a person wants back.

A line names a file and why it was set aside; a later line with `"returned": true`
takes that back, and the next attempt uses the file again.
"""

from __future__ import annotations

import json
from pathlib import Path

from ecotui.engine.data.index import DataIndex
from ecotui.text import visible

KEPT_OUT = (
    "set aside after an incident of this run; ecotui quarantine RUN --return FILE brings it back"
)


def returned_ids(path: Path, index: DataIndex) -> set[int]:
    """Return the ids of samples that were set aside and are wanted back.

    Args:
        path: Of the list.
        index: The data set.
    """
    wanted: set[str] = set()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    for line in lines:
        try:
            record = json.loads(line)
            name, is_returned = str(record["path"]), record.get("returned") is True
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # written by somebody else
        (wanted.add if is_returned else wanted.discard)(name)
    if not wanted:
        return set()
    return {number for number, name in enumerate(index.names) if visible(name) in wanted}

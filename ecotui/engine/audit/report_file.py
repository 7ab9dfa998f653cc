"""All findings as one JSON file, for scripts and for the exclusion list.

Its form is `schemas/audit.schema.json`. Paths in it are written as in an exclusion list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ecotui.audit_categories import BY_NAME
from ecotui.engine.audit.findings import NOBODY, Entry, Finding, splits_of
from ecotui.engine.audit.report import in_order
from ecotui.engine.data.index import DataIndex
from ecotui.envelope import SplitName
from ecotui.exclusion_list import written
from ecotui.text import visible

FORMAT = 1
"""Of the file."""


def write_findings(
    index: DataIndex, path: Path, found: Sequence[Finding], *, num_left_out: int = 0
) -> None:
    """Write all findings, an entry at a time: there may be a million of them.

    Args:
        index: The photos that were looked at.
        path: Of the file; it is there whole or not at all.
        found: What was found, in any order.
        num_left_out: Further photos, for which there was no time.

    Raises:
        OSError: It cannot be written.
    """
    splits = splits_of(index)
    head = {
        "format": FORMAT,
        "root": visible(index.root),
        "layout": index.layout,
        "num_files": len(index.names),
        "num_classes": index.num_classes,
    }
    if num_left_out:
        head["num_left_out"] = num_left_out
    writing = path.with_name(f".tmp-{path.name}")
    with writing.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "findings": [')
        for number, finding in enumerate(in_order(found)):
            file.write(",\n" if number else "\n")
            _write_finding(file.write, finding, index, splits)
        file.write("\n]}\n")
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)


def _write_finding(
    write: Callable[[str], object], finding: Finding, index: DataIndex, splits: list[SplitName]
) -> None:
    category = BY_NAME[finding.category]
    head: dict[str, Any] = {
        "category": finding.category,
        "verdict": finding.verdict or category.verdict,
        "num_files": finding.num_files,
        "what": visible(finding.what),
        "consequence": category.consequence,
        "remedy": category.remedy,
        "can_exclude": category.can_exclude,
        "figures": finding.extra,
    }
    write(json.dumps(head)[:-1] + ', "entries": [')
    for number, entry in enumerate(finding.entries):
        write((",\n  " if number else "\n  ") + json.dumps(_record(entry, index, splits)))
    write("]}")


def _record(entry: Entry, index: DataIndex, splits: list[SplitName]) -> dict[str, Any]:
    return {
        "path": _path(entry.sample_id, index),
        "label": visible(index.class_names[entry.label_in(index)]),
        "split": entry.split_in(splits),
        "detail": entry.detail,
        "other": _path(entry.other, index),
        "left_out": entry.is_left_out and entry.sample_id != NOBODY,
    }


def _path(sample_id: int, index: DataIndex) -> str:
    return "" if sample_id == NOBODY else written(index.names.raw(sample_id))

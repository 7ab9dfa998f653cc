"""The report of an unchanged data set, kept: a second audit has nothing to work out again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ecotui.durable import write_whole
from ecotui.engine.audit.records import AUDIT_VERSION
from ecotui.engine.audit.scan import Scan
from ecotui.engine.data.index import DataIndex
from ecotui.paths import RunDir
from ecotui.plans import AuditReported

_FOLDER = "report"
_EVENTS: TypeAdapter[list[AuditReported]] = TypeAdapter(list[AuditReported])


def key_of(index: DataIndex, scan: Scan, wish: str) -> str:
    """Return what a report depends on, as a digest.

    Args:
        index: The data set.
        scan: What is known of its photos.
        wish: What else the report depends on, in words.
    """
    digest = hashlib.blake2b(digest_size=16)
    versions = [AUDIT_VERSION, _own_digest(), wish, index.layout, list(index.class_names)]
    digest.update(json.dumps(versions).encode("utf-8", "surrogateescape"))
    digest.update(index.names.block)
    for array in (index.names.ends, index.labels, *(index.splits[name] for name in index.splits)):
        digest.update(np.int64(len(array)).tobytes() + np.ascontiguousarray(array).tobytes())
    for part in range(0, len(scan.rows), 65_536):
        digest.update(scan.rows[part : part + 65_536].tobytes())
    return digest.hexdigest()


@cache
def _own_digest() -> str:
    """Return a digest of the audit's own code: a report of another version is made anew."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def keep_report(scan: Scan, key: str, run: RunDir, events: Sequence[AuditReported]) -> None:
    """Keep a report for the next time; where there is no room for it, it is made anew then."""
    if scan.cache is None:
        return
    folder = scan.cache.folder / _FOLDER
    with contextlib.suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copyfile(run.audit, folder / run.audit.name)
        if run.previews.is_dir():
            (folder / run.previews.name).mkdir()
            for path in run.previews.glob("audit-*.png"):
                shutil.copyfile(path, folder / run.previews.name / path.name)
        # Written last: without it there is no report.
        record = {"key": key, "events": json.loads(_EVENTS.dump_json(list(events)))}
        write_whole(folder / "events.json", json.dumps(record).encode())


def kept_report(scan: Scan, key: str, run: RunDir) -> list[AuditReported] | None:
    """Return the report kept of the same state, its files copied into the run; None for none."""
    if scan.cache is None:
        return None
    folder = scan.cache.folder / _FOLDER
    try:
        record = json.loads((folder / "events.json").read_bytes())
        if record["key"] != key:
            return None
        events = _EVENTS.validate_python(record["events"])
        _copy(folder, run)
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return events


def _copy(folder: Path, run: RunDir) -> None:
    previews = folder / run.previews.name
    if previews.is_dir():
        run.previews.mkdir(exist_ok=True)
        for path in previews.iterdir():
            shutil.copyfile(path, run.previews / path.name)
    shutil.copyfile(folder / run.audit.name, run.audit)

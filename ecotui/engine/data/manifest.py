"""The layout of a CSV manifest: path, label and maybe split. Read, and written as split.csv."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ecotui.engine.data.listing import SPLIT_ALIASES, Entry, Listing
from ecotui.engine.data.members import check_named_once, check_present, relative_name
from ecotui.errors import UsageError
from ecotui.text import counted, listed, visible

COLUMNS = ("path", "label", "split")


def read_manifest(root: Path, manifest: str) -> Listing:
    """Read a CSV manifest; its paths are relative to the data root.

    Args:
        root: Of the data.
        manifest: Path of the CSV file, relative to the root or absolute. UTF-8; the
            first line names the columns, among them path and label.

    Raises:
        UsageError: The file is absent or not such a CSV, or a photo that it names is
            missing, outside the data or named twice.
    """
    path = root / manifest
    source = f"the manifest {visible(path)}"
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            entries = list(_entries(csv.reader(file, skipinitialspace=True, strict=True), source))
    except FileNotFoundError:
        raise UsageError(
            f"{source} is absent", "a CSV file with the columns path,label", "correct data.manifest"
        ) from None
    except (OSError, ValueError) as error:
        raise _not_readable(source, error) from None
    except csv.Error as error:
        raise UsageError(
            f"{source} is not CSV: {visible(error)}",
            "fields with commas between them, in double quotes where they hold a comma or quote",
            "correct the file, or save it as CSV (UTF-8) again",
        ) from None
    check_named_once(entries, source)
    check_present(root, entries, source)
    return Listing("manifest", root, entries)


def write_manifest(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of path, label and split, as `read_manifest` takes them; LF line ends.

    Bytes of a file name that are not UTF-8 are written as they are.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for row in rows:
            file.write(",".join(map(_quoted, row)) + "\n")


def _entries(reader: Iterator[list[str]], source: str) -> Iterator[Entry]:
    columns = _columns(next(reader, []), source)
    for row in reader:
        if not row:
            continue
        where = f"{source}, row {reader.line_num},"  # type: ignore[attr-defined]
        if len(row) <= max(columns.values()):
            raise UsageError(
                f"{where} has {counted(len(row), 'field')}",
                f"the columns {listed(columns)}",
                "complete or remove that row",
            )
        yield _entry(row, columns, where)


def _entry(row: list[str], columns: dict[str, int], where: str) -> Entry:
    written, label = row[columns["path"]], row[columns["label"]]
    if not written or not label:
        raise UsageError(
            f"{where} has an empty {'label' if written else 'path'}",
            "a path and a label in every row",
            "complete or remove that row",
        )
    name = relative_name(os.fsencode(written), where)
    if "split" not in columns:
        return Entry(name, label, None)
    split = SPLIT_ALIASES.get(row[columns["split"]].strip().lower())
    if split is None:
        raise UsageError(
            f"{where} has the split '{visible(row[columns['split']])}'",
            "train, val or test",
            "correct that row, or leave the column out to have the data split by seed",
        )
    return Entry(name, label, split)


def _columns(header: Sequence[str], source: str) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    columns = {name: names.index(name) for name in COLUMNS if name in names}
    if "path" not in columns or "label" not in columns:
        found = listed(visible(name) for name in header) or "nothing"
        raise UsageError(
            f"{source} starts with {found}",
            "a first line that names the columns: path,label or path,label,split",
            "add or correct the first line",
        )
    return columns


def _not_readable(source: str, error: Exception) -> UsageError:
    return UsageError(
        f"{source} cannot be read: {visible(error)}",
        "a CSV file in UTF-8 that may be read",
        "correct data.manifest, or the rights of the file",
    )


def _quoted(field: str) -> str:
    # The csv module before Python 3.13 leaves a lone carriage return bare, which its
    # own reader takes for a line end.
    if field and not field.startswith(" ") and not any(mark in field for mark in ',"\r\n'):
        return field
    return '"' + field.replace('"', '""') + '"'

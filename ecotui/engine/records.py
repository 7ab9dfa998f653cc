"""Files that tell of a run and are not needed to resume it: a full disk may cost their lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecotui import disk
from ecotui.durable import write_whole
from ecotui.engine.emit import Emit
from ecotui.events import HealthAlerted
from ecotui.text import visible


class Records:
    """Writes records of a run; where the disk cannot be written, it tells so once and goes on.

    Args:
        emit: Where the facts go.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._has_told = False

    def append(self, path: Path, line: str) -> None:
        """Append a line to a file, whole or not at all.

        Emits:
            HealthAlerted, the first time that it cannot be written.
        """
        self.attempt(path, lambda: disk.append_line(path, f"{line}\n".encode()))

    def append_row(self, path: Path, row: Mapping[str, Any]) -> None:
        """Append a row to a table, with a first line of names where the file is new.

        Emits:
            HealthAlerted, the first time that it cannot be written.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row), lineterminator="\n")
        if not path.exists() or not path.stat().st_size:
            writer.writeheader()
        writer.writerow(row)
        self.append(path, text.getvalue().removesuffix("\n"))

    def write(self, path: Path, content: str | bytes) -> None:
        """Write a file whole, or leave it as it is.

        Emits:
            HealthAlerted, the first time that it cannot be written.
        """

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content.encode() if isinstance(content, str) else content)

        self.attempt(path, write)

    def attempt(self, path: Path, write: Callable[[], None]) -> None:
        """Write in a way of one's own.

        Args:
            path: Of the file, to be named.
            write: Does it, and leaves the file as it is where it fails.

        Emits:
            HealthAlerted, the first time that it cannot be written.
        """
        try:
            write()
        except OSError as error:
            if not disk.is_storage_fault(error):
                raise
            self._tell(path, error)

    def _tell(self, path: Path, error: OSError) -> None:
        if self._has_told:
            return
        self._has_told = True
        why = visible(error.strerror or error)
        self._emit(
            HealthAlerted(
                severity="warning",
                code="records_not_written",
                message=f"{visible(path.name)} cannot be written ({why}): records of this run "
                "will have gaps",
                advice="free some space; the training itself is not touched by it",
            )
        )


def cut_metrics(path: Path, epochs_done: int) -> None:
    """Drop the rows of epochs that are about to be trained again.

    Args:
        path: Of the table, whose first column is the epoch.
        epochs_done: Rows up to this one stay.

    Raises:
        OSError: It cannot be written; it stays as it is.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if row and int(row[0]) <= epochs_done]
    if not kept:
        path.unlink()  # the first row brings its header along
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *kept])
    write_whole(path, text.getvalue().encode())

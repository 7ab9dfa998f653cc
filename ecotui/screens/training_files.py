"""What the training screen reads of a run beside its events: small files, and only within it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ecotui.errors import EcoError
from ecotui.evaluation_file import Confusion, read_confusion
from ecotui.paths import RunDir
from ecotui.text import visible

MAX_RECORD_BYTES = 1_000_000


def confusion_of(run: RunDir, file: str) -> tuple[Confusion | None, str]:
    """Return the confusion matrix of an evaluation, or why there is none.

    Args:
        run: Whose it is.
        file: As the event names it, relative to the run.
    """
    path = _within(run, file)
    if path is None:
        return None, f"{visible(file)} does not lie in this run"
    try:
        return read_confusion(path), ""
    except EcoError as error:
        return None, error.what


def record_of(run: RunDir, file: str) -> str:
    """Return what stands in the record of an incident, or why it cannot be read."""
    path = _within(run, file)
    if path is None:
        return f"{visible(file)} does not lie in this run"
    try:
        with path.open("rb") as opened:
            return opened.read(MAX_RECORD_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return f"{visible(path)} cannot be read: {visible(error.strerror)}"


def sizes_of(run: RunDir, paths: Iterable[str]) -> dict[str, int]:
    """Return how many bytes each checkpoint takes, of those that are on the disk."""
    found = {}
    for name in paths:
        path = _within(run, name)
        if path is None:
            continue
        try:
            found[name] = sum(each.stat().st_size for each in path.iterdir())
        except OSError:
            continue
    return found


def _within(run: RunDir, file: str) -> Path | None:
    """Return where a file of the run lies; None where its name leads out of it."""
    try:
        root = run.path.resolve()
        path = (root / file).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return path if path.is_relative_to(root) and path != root else None

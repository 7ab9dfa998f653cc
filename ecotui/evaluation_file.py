"""Evaluations as the engine writes them down: the confusion matrix, and what is confused most.

The file lies in the run and may be cut off, huge or somebody else's: it is read as data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui.errors import EcoError
from ecotui.text import bytes_size, visible

MAX_FILE_BYTES = 100_000_000
"""The matrix of 3,000 classes takes about so much."""
MAX_CLASSES = 3_000


@dataclass(frozen=True, slots=True)
class Mistake:
    """One class taken for another.

    Attributes:
        count: Images.
        truth: Place of the true class.
        taken_for: Place of the predicted class.
        fraction: Of the true class's images, 0 to 1.
    """

    count: int
    truth: int
    taken_for: int
    fraction: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """What each class was taken for.

    Attributes:
        names: Of the classes, in their order.
        counts: Images; a row a true class, a column a predicted one.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def support(self, truth: int) -> int:
        """Return how many images of a class there are."""
        return sum(self.counts[truth])

    def mistakes(self, limit: int) -> list[Mistake]:
        """Return the commonest mistakes, most images first."""
        found = [
            Mistake(count, truth, taken_for, count / max(1, self.support(truth)))
            for truth, row in enumerate(self.counts)
            for taken_for, count in enumerate(row)
            if count and truth != taken_for
        ]
        return sorted(found, key=lambda each: (-each.count, -each.fraction))[:limit]


def read_confusion(path: Path) -> Confusion:
    """Return the confusion matrix of an evaluation.

    Raises:
        EcoError: There is none that can be read.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _unreadable(path, f"it has {bytes_size(size)}")
        written = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is no JSON") from None
    found = _confusion(written)
    if found is None:
        raise _unreadable(path, "it holds no confusion matrix")
    return found


def _confusion(written: Any) -> Confusion | None:
    if not isinstance(written, dict):
        return None
    scores, rows = written.get("per_class"), written.get("confusion")
    if not isinstance(scores, list) or not isinstance(rows, list):
        return None
    size = len(scores)
    if not 0 < size <= MAX_CLASSES or len(rows) != size:
        return None
    names = [score.get("name") for score in scores if isinstance(score, dict)]
    if len(names) != size or not all(isinstance(name, str) for name in names):
        return None
    if not all(isinstance(row, list) and len(row) == size for row in rows):
        return None
    if not all(type(count) is int and count >= 0 for row in rows for count in row):
        return None
    return Confusion(tuple(map(str, names)), tuple(map(tuple, rows)))


def _unreadable(path: Path, why: str) -> EcoError:
    return EcoError(
        f"the evaluation {visible(path)} cannot be read: {visible(why)}",
        "a file that ecotui wrote after a validation",
        "it is written anew after the next one; the run itself does not need it",
    )

"""The mistakes that the model is surest of, as the engine wrote them down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui.events import ValidationFinished
from ecotui.paths import RunDir
from ecotui.png import MAX_FILE_BYTES

MAX_MISTAKES = 12
MAX_RECORD_BYTES = 4_000_000
_PICTURE = re.compile(r"previews/mistake-\d{2}\.png")


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image taken for what it is not; its texts are foreign.

    Attributes:
        path: Of the photo, relative to the data root.
        true: The class it is of.
        predicted: The one it was taken for.
        confidence: In that, 0 to 1.
        picture: A small PNG; None where there is none.
    """

    path: str
    true: str
    predicted: str
    confidence: float
    picture: bytes | None = None


def read_mistakes(run: RunDir, validation: ValidationFinished | None) -> tuple[Mistake, ...]:
    """Return the surest mistakes of a validation, those with pictures where there are any.

    Args:
        run: Where they were written down.
        validation: That they are of; None for none.
    """
    if validation is None:
        return ()
    pictured = _read(run.mistakes)
    if (pictured.get("split"), pictured.get("epoch")) == (validation.split, validation.epoch):
        return _mistakes(run, pictured)
    return _mistakes(run, _read(run.path / validation.file))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mistakes(run: RunDir, record: dict[str, Any]) -> tuple[Mistake, ...]:
    listed = record.get("mistakes")
    found = [_mistake(run, each) for each in listed] if isinstance(listed, list) else []
    return tuple(each for each in found if each is not None)[:MAX_MISTAKES]


def _mistake(run: RunDir, written: object) -> Mistake | None:
    if not isinstance(written, dict):
        return None
    words = [written.get(name) for name in ("path", "true", "predicted")]
    confidence = written.get("confidence")
    if not isinstance(confidence, int | float):
        return None
    path, true, predicted = map(str, words)
    return Mistake(path, true, predicted, float(confidence), _picture(run, written.get("preview")))


def _picture(run: RunDir, name: object) -> bytes | None:
    if not isinstance(name, str) or not _PICTURE.fullmatch(name):
        return None
    try:
        with (run.path / name).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None

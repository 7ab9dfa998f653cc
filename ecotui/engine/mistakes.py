"""Pictures of the mistakes that the model is surest of, for people to look at.

Faces decode no photos: what they are to show of them is written here, small, once the training
is over.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecotui.engine.assembly import Parts
from ecotui.engine.data.decode import DecodeError, decode
from ecotui.engine.emit import Emit
from ecotui.engine.records import Records
from ecotui.events import SplitName
from ecotui.paths import RunDir

MAX_SIDE = 128
"""Longest side of a picture, pixels."""
MAX_BYTES = 4_000_000
"""A record of an evaluation that is larger has a thousand classes and more; it has no pictures."""


def picture_mistakes(
    parts: Parts, run: RunDir, best_epoch: int, emit: Emit, poll: Callable[[], None]
) -> None:
    """Write `mistakes.json` and its pictures, of the test or else of the best validation.

    Args:
        parts: Whose index names the photos.
        run: Its evaluations are read, its previews written.
        best_epoch: The validation that chose the best checkpoint, from 1.
        emit: Where the facts go.
        poll: Called before each picture; what it raises ends the work.
    """
    split: SplitName = "test" if parts.test_loader is not None else "val"
    name = "test" if split == "test" else f"epoch-{best_epoch:06d}"
    found = _mistakes_of(run.evaluations / f"{name}.json")
    records, told = Records(emit), []
    for number, mistake in enumerate(found):
        poll()
        path = run.previews / f"mistake-{number:02d}.png"
        picture = _picture(parts, int(mistake.pop("sample_id")))
        if picture is not None:
            records.write(path, picture)
            mistake["preview"] = str(path.relative_to(run.path))
        told.append(mistake)
    record = {"split": split, "epoch": best_epoch, "mistakes": told}
    records.write(run.mistakes, json.dumps(record, indent=1) + "\n")


def _mistakes_of(path: Path) -> list[dict[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return []
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["mistakes"]
    except (OSError, ValueError, KeyError):  # Not written for want of room, or an older record.
        return []
    return found


def _picture(parts: Parts, sample_id: int) -> bytes | None:
    """Return a photo as a small PNG; None where it cannot be read any more."""
    try:
        photo = decode(parts.index.path_of(sample_id), max_pixels=parts.config.data.max_pixels)
    except DecodeError:
        return None
    photo.thumbnail((MAX_SIDE, MAX_SIDE))
    out = io.BytesIO()
    photo.save(out, "PNG")
    return out.getvalue()

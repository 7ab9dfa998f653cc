"""Runs on a small tmpfs in a mount namespace of its own, and prints what it found as JSON.

    unshare -Urm python on_small_disk.py MOUNT_POINT

Needs no torch: what is written is bytes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ecotui import disk
from ecotui.engine import checkpoint
from ecotui.engine.checkpoint import commit, step_name

SIZE_MB = 5
SAVE_BYTES = 1_500_000


def state(number: int) -> dict[str, Any]:
    return {"model.safetensors": [bytes([number]) * SAVE_BYTES], "loop.json": b"{}"}


def fill(place: Path, left_bytes: int) -> Path:
    """Leave so much room."""
    path = place / f"filler-{len(list(place.glob('filler-*')))}"
    free = disk.free_bytes(place) or 0
    path.write_bytes(b"x" * max(0, free - left_bytes))
    return path


def save_on_a_full_disk(place: Path, fraction: float) -> dict[str, Any]:
    folder = place / f"run-{fraction}"
    old = commit(folder, step_name(folder, 1), state(1), {}).path
    filler = fill(place, int(SAVE_BYTES * fraction))
    said = None
    try:
        commit(folder, step_name(folder, 2), state(2), {})
    except OSError as error:
        said = errno.errorcode[error.errno or 0]
    left = sorted(entry.name for entry in folder.iterdir())
    is_sound = checkpoint.verify(old) == {}
    filler.unlink()
    newest = commit(folder, step_name(folder, 2), state(2), {}).path
    checkpoint.verify(newest)
    for path in (old, newest):
        checkpoint.drop(path)
    return {"said": said, "left": left, "old": old.name, "is_sound": is_sound}


def save_in_place(place: Path) -> bool:
    """The control: a file that is written over is lost when the disk is full."""
    path = place / "model.bin"
    path.write_bytes(b"\1" * SAVE_BYTES)
    with contextlib.suppress(OSError), path.open("wb") as file:
        fill(place, SAVE_BYTES // 2)
        file.write(b"\2" * SAVE_BYTES)
    content = path.read_bytes()
    for filler in place.glob("filler-*"):
        filler.unlink()
    path.unlink()
    return content in (b"\1" * SAVE_BYTES, b"\2" * SAVE_BYTES)


def save_on_a_read_only_disk(place: Path) -> dict[str, Any]:
    folder = place / "run-ro"
    old = commit(folder, step_name(folder, 1), state(1), {}).path
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    said = None
    try:
        commit(folder, step_name(folder, 2), state(2), {})
    except OSError as error:
        said = errno.errorcode[error.errno or 0]
    left = [entry.name for entry in folder.iterdir()]
    return {"said": said, "left": left, "old": old.name, "is_sound": checkpoint.verify(old) == {}}


def main() -> None:
    place = Path(sys.argv[1])
    options = f"size={SIZE_MB}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    found: dict[str, Any] = {}
    for fraction in (0.0, 0.5, 0.95):
        found[str(fraction)] = save_on_a_full_disk(place, fraction)
    found["in_place_survives"] = save_in_place(place)
    found["read_only"] = save_on_a_read_only_disk(place)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

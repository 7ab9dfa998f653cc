"""One save as an engine makes it, alone: `python one_save.py RUN_FOLDER [--in-place]`.

Commits the state of step 2 and announces it in the run's log, then removes the state of
step 0, as retention does. Needs no torch, so that a process of it lives for a moment only and
every system call of the save can be made to fail in turn. What it does after the marker, a
look at a path that is never there, is the save.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ecotui.engine import checkpoint

MARKER = "/ecotui-the-save-begins"
FAILED = 9
"""Exit code of a save that was told that it failed."""


def content(step: int) -> dict[str, bytes]:
    """Return the files of a step's state: different at each step, and of several sizes."""
    return {
        "model.safetensors": bytes([step]) * 70_000,
        "optim.safetensors": bytes([100 + step]) * 9_000,
        "loop.json": b'{"step": %d}' % step,
    }


def name(step: int) -> str:
    """Return the name of a step's state."""
    return f"step-{step:010d}-00000000"


def save(folder: Path, step: int) -> None:
    """Commit a step's state."""
    checkpoint.commit(folder, name(step), content(step), {"step": step})


def save_in_place(folder: Path, step: int) -> None:
    """Do what a save must not: write a step's state over the newest one, file by file."""
    live = folder / name(1)
    for file_name, new in content(step).items():
        (live / file_name).write_bytes(new)


def announce(run: Path, step: int) -> None:
    """Say in the log that a step is saved, as the engine does after the commit."""
    descriptor = os.open(run / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, b"saved %d\n" % step)
    os.fsync(descriptor)
    os.close(descriptor)


def main() -> int:
    """Save step 2, announce it, and let step 0 go."""
    run = Path(sys.argv[1])
    folder = run / "checkpoints"
    os.path.exists(MARKER)
    try:
        (save_in_place if "--in-place" in sys.argv else save)(folder, 2)
        announce(run, 2)
        if (folder / name(0)).exists():
            checkpoint.drop(folder / name(0))
    except OSError:
        return FAILED
    return 0


if __name__ == "__main__":
    os._exit(main())

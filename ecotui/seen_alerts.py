"""Which alerts of a run a person has seen, kept from one start of the app to the next.

A state of the app's own, in the user's folder for such: the log of a run knows nothing of it. A
line is added for each acknowledgement, in one write, so that two apps that watch one run do not
undo what the other has noted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

import platformdirs

from ecotui.paths import RunDir

MAX_RUNS = 500
"""The files of others, the oldest first, are removed when one more comes."""
MAX_FILE_BYTES = 1_000_000


def seen_folder() -> Path:
    """Return where the files lie, one a run."""
    return platformdirs.user_state_path("ecotui") / "seen"


class SeenAlerts:
    """The file of one run.

    Args:
        run: Its directory; another one in its place later is another run.
    """

    def __init__(self, run: RunDir) -> None:
        try:
            made_at = run.config.stat().st_mtime_ns
        except OSError:
            made_at = 0
        name = f"{run.path.absolute()}\n{made_at}".encode(errors="surrogateescape")
        self._path = seen_folder() / hashlib.sha256(name).hexdigest()

    def lines(self) -> list[str]:
        """Return what was noted, in order; nothing where there is no such file."""
        try:
            with self._path.open("rb") as file:
                return file.read(MAX_FILE_BYTES).decode("ascii", "replace").splitlines()
        except OSError:
            return []

    def note(self, line: str) -> None:
        """Add a line; without room for it, only this start of the app knows."""
        with contextlib.suppress(OSError):
            folder = self._path.parent
            folder.mkdir(parents=True, exist_ok=True)
            if not self._path.exists():
                _make_room(folder)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            number = os.open(self._path, flags, stat.S_IRUSR | stat.S_IWUSR)
            try:
                os.write(number, f"{line}\n".encode("ascii"))
            finally:
                os.close(number)


def _make_room(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - MAX_RUNS + 1)]:
        path.unlink(missing_ok=True)

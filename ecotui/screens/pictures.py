"""Pictures that the engine wrote, read for a screen."""

from __future__ import annotations

from pathlib import Path

from ecotui.paths import RunDir

MAX_BYTES = 400_000
"""A picture of 128 x 128 pixels has at most 65,000 bytes of them."""
MAX_KEPT = 64


class Pictures:
    """The pictures of a run, each read once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], bytes] = {}

    def read(self, run: RunDir | None, relative: str) -> bytes | None:
        """Return a picture file, None where there is none.

        Args:
            run: Where it lies.
            relative: Its path in the run, as the event names it; one that leads out of the run
                is none.
        """
        if run is None or not relative or "\0" in relative:
            return None
        key = (run.path, relative)
        if key not in self._kept:
            found = _content(run.path, relative)
            if found is None:
                return None
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return self._kept[key]


def _content(folder: Path, relative: str) -> bytes | None:
    try:
        path = (folder / relative).resolve()
        if not path.is_relative_to(folder.resolve()) or path.stat().st_size > MAX_BYTES:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None

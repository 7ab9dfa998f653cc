"""The engine's raw output, whose disk may be full: then lines are lost, and the run goes on."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from ecotui import disk


class Forgiving:
    """A text stream that drops what the disk does not take.

    Args:
        stream: What it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.num_lost = 0

    def write(self, text: str) -> int:
        """Write text, or count it as lost; return its length in any case."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            self._forgive(error)
        return len(text)

    def flush(self) -> None:
        """Hand what was written to the system, as far as it takes it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._forgive(error)

    def __getattr__(self, name: str) -> Any:
        """Be the stream in everything else."""
        return getattr(self._stream, name)

    def _forgive(self, error: OSError) -> None:
        if not disk.is_storage_fault(error):
            raise error
        self.num_lost += 1


def forgive_full_disks() -> None:
    """Keep a full disk under the log from ending the process, or what it was telling."""
    out: Any = Forgiving(sys.stdout)
    err: Any = Forgiving(sys.stderr)
    sys.stdout, sys.stderr = out, err

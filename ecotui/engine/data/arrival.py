"""Files that may never come: a mount whose server is gone blocks whoever reads from it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ecotui.engine.data import decode

_AT_ONCE = 1 << 20
_ATTEND_SECONDS = 0.1


def _nobody() -> None:
    return


def reading_seconds(
    path: Path,
    patience_seconds: float,
    attend: Callable[[], None] = _nobody,
    *,
    most_bytes: int | None = None,
) -> float | None:
    """Read a file, aside, and return how long that took; None where it does not come to an end.

    Reading in a thread, not decoding: a thread that is left behind touches nothing that others
    rely on, such as random generators, when its file comes after all. What was read is then in
    the system's cache, where a decoder finds it. A file that cannot be opened has come: whoever
    decodes it says what is wrong with it.

    Args:
        path: Of the file.
        patience_seconds: How long it may take.
        attend: Called ten times a second meanwhile; what it raises goes through.
        most_bytes: Of its beginning and of its end, that are read; None for all of it.
    """
    took: list[float] = []
    done = threading.Event()
    started = time.monotonic()

    def read() -> None:
        try:
            _read(path, most_bytes)
        finally:
            took.append(time.monotonic() - started)
            done.set()

    threading.Thread(target=read, name="reading a photo", daemon=True).start()
    while not done.wait(min(_ATTEND_SECONDS, patience_seconds)):
        attend()
        if time.monotonic() - started >= patience_seconds:
            return None
    return took[0]


def _read(path: Path, most_bytes: int | None) -> None:
    try:
        descriptor = decode.open_regular(path)
    except decode.DecodeError:
        return
    try:
        if most_bytes is not None:
            os.pread(descriptor, most_bytes, 0)
            end = os.fstat(descriptor).st_size  # where a TIFF may have its directory
            os.pread(descriptor, most_bytes, max(0, end - most_bytes))
        else:
            while os.read(descriptor, _AT_ONCE):
                pass
    except OSError:
        return  # the decoder meets the same, and tells it
    finally:
        os.close(descriptor)

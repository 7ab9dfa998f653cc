"""A small file replaced by another: whole and on the disk, or the old one stays."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Replace a file's content, UTF-8; readers and a power cut meet the old or the new one.

    Raises:
        OSError: It cannot be written; the file is what it was.
    """
    writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with writing.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        writing.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            writing.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

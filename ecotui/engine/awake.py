"""No sleep while the engine works: macOS suspends a machine that nobody touches.

Linux machines are left as they are: who wants a laptop kept awake there asks
systemd or the desktop for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = "caffeinate"
_END_SECONDS = 1.0


@contextmanager
def kept_awake(platform: str = sys.platform) -> Iterator[None]:
    """Keep a Mac from idle sleep during a block, with the program that comes with it.

    The program watches the engine's process as well, and ends with it however it ends.

    Args:
        platform: As `sys.platform` names it.

    Raises:
        OSError: The program is there and cannot be started.
    """
    found = shutil.which(_PROGRAM) if platform == "darwin" else None
    if found is None:
        yield
        return
    # `-i`: no idle sleep; `-w`: until that process is gone. Source: caffeinate(8).
    child = subprocess.Popen(
        [found, "-i", "-w", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

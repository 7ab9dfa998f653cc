"""The report of a failure that nobody foresaw: one line for the person, the rest in a file."""

from __future__ import annotations

import sys
import time
import traceback

import platformdirs

from ecotui.text import visible


def write_crash_log() -> str:
    """Write the exception being handled into the user's log directory.

    Returns:
        One line for the person, naming the file.
    """
    kind, error, _ = sys.exc_info()
    what = f"{kind.__name__ if kind else 'failure'}: {visible(error, limit=200)}"
    path = platformdirs.user_log_path("ecotui") / time.strftime("crash-%Y%m%d-%H%M%S.log")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(traceback.format_exc())
    except OSError as fault:
        return f"error: ecotui itself failed ({what}); no log could be written: {visible(fault)}"
    return f"error: ecotui itself failed ({what}); please report it with {visible(path)}"

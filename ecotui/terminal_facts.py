"""What the terminal of this process is like, for those who judge it elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from ecotui.jobs import TerminalFacts
from ecotui.text import visible

TMUX_LIMIT_SECONDS = 1.0


def look_at_terminal() -> TerminalFacts:
    """Return the facts of the terminal that stdout goes to."""
    # The app puts something of its own, without an encoding, in the place of stdout.
    stream = sys.stdout if getattr(sys.stdout, "encoding", None) else sys.__stdout__
    is_terminal = bool(stream is not None and stream.isatty())
    size = shutil.get_terminal_size((0, 0)) if is_terminal else os.terminal_size((0, 0))
    in_tmux = bool(os.environ.get("TMUX"))
    return TerminalFacts(
        is_terminal=is_terminal,
        kind=visible(os.environ.get("TERM", ""), limit=60),
        columns=max(0, size.columns),
        rows=max(0, size.lines),
        colors=_colors(os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")),
        encoding=visible(getattr(stream, "encoding", "") or "", limit=30),
        in_tmux=in_tmux,
        tmux_clipboard=_tmux_option("set-clipboard") if in_tmux else "",
    )


def _colors(kind: str, direct: str) -> int:
    if direct.lower() in ("truecolor", "24bit") or kind.endswith("-direct"):
        return 1 << 24
    return 256 if "256color" in kind or "kitty" in kind else 8


def _tmux_option(name: str) -> str:
    """Return a setting of the tmux around this process; empty where it does not answer."""
    try:
        done = subprocess.run(
            ["tmux", "show-options", "-s", "-v", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TMUX_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return ""
    return visible(done.stdout.strip(), limit=30) if done.returncode == 0 else ""

"""The terminal of the person who asked, as the command line saw it."""

from __future__ import annotations

from ecotui.engine.verdicts import noted, passed, warned
from ecotui.findings import CheckReported
from ecotui.jobs import TerminalFacts
from ecotui.text import visible

MIN_COLUMNS, MIN_ROWS = 80, 24


def check_terminal(terminal: TerminalFacts | None) -> CheckReported:
    """Judge whether the screens can be drawn well."""
    if terminal is None or not terminal.is_terminal:
        return noted("terminal", "not started on a terminal")
    name = visible(terminal.kind or "unknown", limit=40)
    seen = (
        f"{name}, {terminal.columns} x {terminal.rows}, "
        f"{terminal.colors:,} colours, {visible(terminal.encoding, limit=20)}"
    )
    if terminal.encoding.lower().replace("-", "") != "utf8":
        return warned("terminal", seen, "a terminal in UTF-8", "export LC_ALL=C.UTF-8")
    if terminal.kind in ("", "dumb"):
        return warned("terminal", seen, "a terminal that can be drawn on", "use ecotui --headless")
    if terminal.columns < MIN_COLUMNS or terminal.rows < MIN_ROWS:
        return warned(
            "terminal",
            seen,
            f"{MIN_COLUMNS} x {MIN_ROWS} or more",
            "make the window larger, or use ecotui --headless",
        )
    if terminal.colors < 256:
        return warned("terminal", seen, "256 colours or more", "export TERM=xterm-256color")
    return passed("terminal", seen)


def check_clipboard(terminal: TerminalFacts | None) -> CheckReported:
    """Judge whether what is copied in tmux reaches the person's clipboard."""
    if terminal is None or not terminal.in_tmux:
        return noted("clipboard", "not inside tmux")
    if terminal.tmux_clipboard in ("on", "external"):
        return passed(
            "clipboard", f"tmux passes copies on (set-clipboard {terminal.tmux_clipboard})"
        )
    if not terminal.tmux_clipboard:
        return noted("clipboard", "inside tmux, which does not tell its settings")
    return warned(
        "clipboard",
        f"tmux keeps copies to itself (set-clipboard {visible(terminal.tmux_clipboard, limit=20)})",
        "set-clipboard on or external",
        "tmux set -g set-clipboard on",
    )

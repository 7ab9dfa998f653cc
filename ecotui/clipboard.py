"""Copying from a terminal, also over SSH and in tmux: the first way that leads anywhere.

In tmux its own buffer, which tmux hands on to the terminal around it; elsewhere the terminal is
asked by an escape sequence (OSC 52); where that cannot work, a file. tmux drops the sequence in
its default settings, and no terminal says whether it obeyed: so each way is taken only where it
is known to lead somewhere, and the person is told which one it was.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from ecotui.errors import EcoError
from ecotui.text import visible

MAX_TERMINAL_BYTES = 74_000
"""Of text in one OSC 52 sequence: xterm, and tmux on the way, take 100,000 bytes in base64."""
TMUX_LIMIT_SECONDS = 2.0
COPIES_FOLDER = ".copies"
_DEAF = ("linux", "screen", "vt", "dumb")
"""Kinds of terminals that know no OSC 52: the console, GNU screen, real ones."""

Way = Literal["tmux", "terminal", "file"]


class Copied(NamedTuple):
    """Where a text went.

    Attributes:
        way: How.
        where: In words, for the person.
    """

    way: Way
    where: str


def copy(
    text: str,
    *,
    send: Callable[[str], None],
    folder: Path,
    environ: Mapping[str, str] = os.environ,
) -> Copied:
    """Copy a text to where the person can paste it from.

    Args:
        text: Harmless already.
        send: Asks the terminal to copy a text (OSC 52).
        folder: The runs directory; a file goes into a hidden folder of it.
        environ: Tells of tmux and the kind of terminal.

    Raises:
        EcoError: No way leads anywhere: the folder cannot be written.
    """
    in_tmux = bool(environ.get("TMUX"))
    if in_tmux and _load_buffer(text, environ):
        return Copied("tmux", "tmux's buffer (prefix ] pastes) and the terminal's clipboard")
    kind = environ.get("TERM", "")
    is_deaf = in_tmux or kind.startswith(_DEAF) or bool(environ.get("STY"))
    if not is_deaf and len(text.encode()) <= MAX_TERMINAL_BYTES:
        send(text)
        return Copied("terminal", "the terminal's clipboard, if it allows that (OSC 52)")
    return Copied("file", str(_write(text, folder)))


def _load_buffer(text: str, environ: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TMUX_LIMIT_SECONDS,
            env=dict(environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _write(text: str, folder: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = folder / COPIES_FOLDER / f"copy-{stamp}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EcoError(
            f"the text cannot be copied: {visible(error)}",
            "a terminal or tmux that takes it, or a runs directory that can be written",
            f"free some disk space, or check {visible(folder)}",
        ) from None
    return path

"""Starts the child that loads a file, waits for it, and tells how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ecotui.engine.foreign.loading import Order
from ecotui.text import visible

LIMIT_SECONDS = 900.0
"""A file of 20 GB takes so long from a slow disk."""
_POLL_SECONDS = 0.05
_MODULE = "ecotui.engine.foreign.loading"
_MAX_ANSWER_BYTES = 65_536


def load_confined(order: Order, order_path: Path, poll: Callable[[], None]) -> str:
    """Have a child load a file and write it anew.

    Args:
        order: What it is to do.
        order_path: Where to write that down for it.
        poll: Called while waiting, every 50 ms; what it raises ends the child.

    Returns:
        What went wrong, in harmless words; empty where it went well.
    """
    order_path.write_text(order.as_json(), encoding="utf-8")
    # Closed streams, not pipes: whatever a library says has nowhere to go.
    child = subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(order_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=order_path.parent,
        env=_environment(),
        close_fds=True,
    )
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        while child.poll() is None:
            poll()
            if time.monotonic() > deadline:
                return f"it was not loaded within {LIMIT_SECONDS:.0f} s"
            time.sleep(_POLL_SECONDS)
    finally:
        child.kill()
        child.wait()
    return _answer(Path(order.answer), child.returncode)


def _environment() -> dict[str, str]:
    """Return the child's variables: those of torch could loosen what it loads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORCH")}
    package = str(Path(__file__).resolve().parents[3])
    paths = [package, *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def _answer(path: Path, status: int) -> str:
    try:
        with path.open("rb") as file:
            fault = json.loads(file.read(_MAX_ANSWER_BYTES))["fault"]
    except (OSError, ValueError, KeyError, TypeError):
        return _ending(status)
    return visible(fault, limit=300) if isinstance(fault, str) else _ending(status)


def _ending(status: int) -> str:
    if status >= 0:
        return f"the process that loaded it left with status {status} and without an answer"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"the process that loaded it was ended by {name}"

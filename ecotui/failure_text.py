"""Where to look after a failure: the doctor where it helps, the log, the page."""

from __future__ import annotations

from pathlib import Path

from ecotui.errors import ExitCode
from ecotui.text import visible

DOCTOR = "to examine the environment: ecotui doctor"
_DOCTOR_HELPS = frozenset({ExitCode.ERROR, ExitCode.ENVIRONMENT, ExitCode.OUT_OF_MEMORY})
"""An exception nobody foresaw, broken packages, and memory may have their cause there."""
_SECTIONS: dict[int, str] = {
    ExitCode.ERROR: "exit-code-1",
    ExitCode.PREFLIGHT: "exit-code-3",
    ExitCode.HEALTH: "exit-code-4",
    ExitCode.ENVIRONMENT: "exit-code-5",
    ExitCode.OUT_OF_MEMORY: "exit-code-6",
    ExitCode.RESUMABLE: "exit-code-75",
    ExitCode.INTERRUPTED: "exit-code-130",
    ExitCode.TERMINATED: "exit-code-143",
}
"""A wrong flag or setting is mended where it was given, and needs no page."""


def pointers(code: int, log: Path | None = None) -> list[str]:
    """Return the lines that end the telling of a failure.

    Args:
        code: What the command exits with.
        log: The engine's raw output; None where there is none, or none is left.
    """
    lines = [DOCTOR] if code in _DOCTOR_HELPS else []
    if log is not None:
        lines.append(f"log: {visible(log)}")
    section = _SECTIONS.get(code)
    return [*lines, f"more: docs/troubleshooting.md#{section}"] if section else lines

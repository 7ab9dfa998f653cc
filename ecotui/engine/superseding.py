"""Checkpoints of steps that a run has gone back from: they stand no more, whatever their number.

A rollback saves the state that it goes on from, with the number of rollbacks so far, and then
drops the states of later steps. Where it dies between the two, the next attempt finds both.
"""

from __future__ import annotations

from pathlib import Path

from ecotui.engine import checkpoint
from ecotui.engine.manifest import BadCheckpointError, read_manifest


def superseded(folder: Path) -> list[Path]:
    """Return the checkpoints that a later rollback has gone back from.

    Args:
        folder: Where they lie.
    """
    counted = {path: _num_rollbacks(path) for path in checkpoint.list_steps(folder)}
    return [
        path
        for path, count in counted.items()
        if any(
            others > count and checkpoint.step_of(other) < checkpoint.step_of(path)
            for other, others in counted.items()
        )
    ]


def clear_superseded(folder: Path) -> None:
    """Remove them, before anything is restored."""
    for path in superseded(folder):
        checkpoint.drop(path)


def _num_rollbacks(path: Path) -> int:
    """Return how many rollbacks a state knows of; none where its manifest cannot be read."""
    try:
        count = read_manifest(path).facts.get("rollbacks", 0)
    except (BadCheckpointError, OSError):
        return 0
    return count if isinstance(count, int) else 0

"""The room that a run will take on the disk, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecotui.disk import free_bytes

RECORDS_BYTES = 70_000_000
"""Events, metrics, evaluations and logs of a run of a week (`benchmarks/scale.py`: 65 MB)."""


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Room needed and room there, in bytes.

    Attributes:
        checkpoint_bytes: Of one checkpoint.
        needed_bytes: Most that the run takes at one time.
        free_bytes: Where the run lies; None where the disk does not tell.
    """

    checkpoint_bytes: int
    needed_bytes: int
    free_bytes: int | None

    @property
    def is_short(self) -> bool:
        """Whether there is less room than needed."""
        return self.free_bytes is not None and self.free_bytes < self.needed_bytes


def disk_need(
    place: Path, *, checkpoint_bytes: int, weights_bytes: int, keep: int, epochs: int
) -> DiskNeed:
    """Return the room that a run takes at most.

    A checkpoint is committed before the oldest goes, and so is a better model before the
    best so far: of each there is one more than is kept.

    Args:
        place: The run directory.
        checkpoint_bytes: Of one checkpoint.
        weights_bytes: Of the best model.
        keep: Checkpoints that stay.
        epochs: Of the run.

    Raises:
        OSError: The place cannot be looked at.
    """
    held = (min(keep, epochs) + 1) * checkpoint_bytes + 2 * weights_bytes + RECORDS_BYTES
    return DiskNeed(checkpoint_bytes, held, free_bytes(place))

"""Readings of steps that are taken from the accelerator some steps later, without waiting for it.

What is not finite never touched the weights, so that knowing of it late does no harm: the host
counts and tells. Which step is read when depends on the number of steps alone, never on
time, so that what follows from a reading is the same in every run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch

from ecotui.engine.data.loader import Batch
from ecotui.engine.step import Gradients, gradients_of

DEPTH = 4
"""Steps between a step and its reading: more than the host is ahead in practice."""


@dataclass(frozen=True, slots=True)
class LateReading:
    """A step that was taken some steps ago.

    Attributes:
        step: Optimizer steps done before it.
        place: Of its batch in the plan.
        batch: What it was computed with.
        gradients: What was measured.
    """

    step: int
    place: int
    batch: Batch
    gradients: Gradients


@dataclass(frozen=True, slots=True)
class _Slot:
    step: int
    place: int
    batch: Batch
    values: torch.Tensor
    is_copied: Any


class LateReadings:
    """Keeps what was measured until it is read, in order.

    Args:
        depth: Steps that are under way at most.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._slots: deque[_Slot] = deque()

    def put(self, measured: torch.Tensor, batch: Batch, step: int, place: int) -> None:
        """Begin to copy what was measured to the host.

        Args:
            measured: Loss, best scores, hits and norm on the device [4].
            batch: What they were computed with.
            step: Optimizer steps done before.
            place: Of the batch in the plan.
        """
        is_cuda = measured.device.type == "cuda"
        values = torch.empty(4, dtype=torch.float32, pin_memory=is_cuda)
        values.copy_(measured, non_blocking=is_cuda)
        event = torch.cuda.Event() if is_cuda else None
        if event is not None:
            event.record()
        self._slots.append(_Slot(step, place, batch, values, event))

    def due(self) -> list[LateReading]:
        """Return the readings of steps that lie far enough back."""
        return [self._read() for _ in range(len(self._slots) - self._depth)]

    def rest(self) -> list[LateReading]:
        """Return all readings; waits for the device."""
        return [self._read() for _ in range(len(self._slots))]

    def forget(self) -> None:
        """Drop what was not read: those steps have not happened."""
        self._slots.clear()

    def _read(self) -> LateReading:
        slot = self._slots.popleft()
        if slot.is_copied is not None:
            slot.is_copied.synchronize()
        return LateReading(slot.step, slot.place, slot.batch, gradients_of(slot.values))

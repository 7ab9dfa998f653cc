"""Fewer images at once where memory runs out, with the same batch; and more again later, safely."""

from __future__ import annotations

import gc
from dataclasses import replace

import torch
from pydantic import ValidationError
from torch import nn

from ecotui.engine.assembly import Parts
from ecotui.engine.changes import Changes
from ecotui.engine.emit import Emit
from ecotui.engine.offload import empty_cache
from ecotui.engine.train_state import LoopState
from ecotui.events import LogWritten
from ecotui.text import visible

_MEMORY = "memory ran out"


class Relief:
    """Keeps the micro-batch of one run as large as memory allows.

    The batch stays what it is: more, smaller parts of it are accumulated. That
    changes the last bits of a step, and with BatchNorm the statistics of a part, so the run
    is no longer bit-equal to one that was never short of memory (E1).

    Args:
        parts: Their micro-batch is exchanged.
        changes: Writes it down; None leaves the files as they are.
        loop: Counts the steps since.
        emit: Where the facts go.

    Attributes:
        smallest: Images at once below which nothing can be computed: two with BatchNorm.
        evaluation_size: Images at once in an evaluation; None for a whole batch.
    """

    def __init__(self, parts: Parts, changes: Changes | None, loop: LoopState, emit: Emit) -> None:
        self._parts = parts
        self._changes = changes
        self._loop = loop
        self._emit = emit
        norms = nn.modules.batchnorm._BatchNorm
        has_norms = any(isinstance(each, norms) for each in parts.trainable.network.modules())
        self.smallest = 2 if has_norms else 1
        self.evaluation_size: int | None = None

    @property
    def size(self) -> int:
        """Images at once."""
        return self._parts.compute.micro_batch_size

    def shrink(self) -> None:
        """Halve the images at once, and give back what torch keeps for later.

        Emits:
            ConfigChanged.
        """
        loop = self._loop
        loop.micro_batch_wanted = max(loop.micro_batch_wanted, self.size)
        loop.steps_since_shrink = 0
        free_caches(self._parts.compute.device_type)
        self._set(max(self.smallest, self.size // 2), _MEMORY)

    def note_good_step(self) -> None:
        """Count a step that had room, and try more images at once when enough of them had.

        Once by default: where memory runs out again, it stays as it is.

        Emits:
            ConfigChanged.
        """
        loop, config = self._loop, self._parts.config.guards
        if self.size >= loop.micro_batch_wanted or loop.num_growths >= config.max_growths:
            return
        loop.steps_since_shrink += 1
        if loop.steps_since_shrink < config.grow_after_steps:
            return
        loop.num_growths += 1
        loop.steps_since_shrink = 0
        told = f"{config.grow_after_steps} steps had room enough: more images at once are tried"
        self._set(min(loop.micro_batch_wanted, 2 * self.size), told)

    def _set(self, size: int, why: str) -> None:
        self._parts.compute = replace(self._parts.compute, micro_batch_size=size)
        if self._changes is None:
            return
        try:
            self._changes.put(
                "train", {"micro_batch_size": size}, step=self._loop.step, why=why, exactness="E1"
            )
        except (OSError, ValidationError) as error:
            said = visible(error, limit=200)
            self._emit(
                LogWritten(
                    severity="warning",
                    message=f"train.micro_batch_size = {size} from here on, but that cannot be "
                    f"written down: {said}",
                )
            )


def free_caches(device_type: str) -> None:
    """Give memory back that nobody uses any more."""
    gc.collect()
    if device_type == "cuda" and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    empty_cache(device_type)

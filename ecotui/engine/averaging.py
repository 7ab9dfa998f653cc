"""The moving average of a network's weights and buffers, brought up to date after each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Averaging:
    """Does what the update of timm's `ModelEmaV3` does, to the last bit.

    timm walks through all modules of both networks at every step, which takes a twentieth of the
    step of a small convolutional network. The tensors stay the objects they are for as long as a
    run lasts, so which ones belong together is found once.

    Args:
        ema: timm's average.
        network: What is averaged.
    """

    def __init__(self, ema: Any, network: nn.Module) -> None:
        self._ema = ema
        pairs = list(zip(_saved_tensors(ema.module), _saved_tensors(network), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self._kept = [own for own, _ in floating]
        self._fresh = [new for _, new in floating]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights of a step in.

        Args:
            step: Optimizer steps done, this one included.
        """
        self._ema._foreach_lerp_(self._kept, self._fresh, weight=1.0 - self._ema.get_decay(step))
        if self._counts:
            torch._foreach_copy_([own for own, _ in self._counts], [new for _, new in self._counts])

    @torch.no_grad()
    def update_unless(self, is_bad: torch.Tensor, step: int) -> None:
        """Do so with a share that is zero where a flag on the device is set.

        Args:
            is_bad: A scalar of bool.
            step: Optimizer steps done, this one included.
        """
        share = torch.where(is_bad, 0.0, 1.0 - self._ema.get_decay(step))
        fresh = [new.to(own.dtype) for own, new in zip(self._kept, self._fresh, strict=True)]
        torch._foreach_lerp_(self._kept, fresh, [share.to(own.dtype) for own in self._kept])
        for own, new in self._counts:
            own.copy_(torch.where(is_bad, own, new))


def _saved_tensors(network: nn.Module) -> list[torch.Tensor]:
    """Return the tensors of a network's state, themselves, in one order."""
    saved = network.state_dict(keep_vars=True)
    return [value for value in saved.values() if isinstance(value, torch.Tensor)]

"""What a forward pass changes beside the weights, kept so that it can be undone."""

from __future__ import annotations

import torch
from torch import nn

from ecotui.engine.tensors import Tensors


class KeptBuffers:
    """A model's buffers (BatchNorm's running statistics) as they were before a forward pass.

    The forward pass has changed them before anything can be judged, and one batch
    that is not finite would leave every later evaluation NaN.

    Args:
        network: Whose buffers are kept.
    """

    def __init__(self, network: nn.Module) -> None:
        self._buffers = list(network.buffers())
        self._kept = [buffer.detach().clone() for buffer in self._buffers]

    def remember(self) -> None:
        """Keep the buffers as they are."""
        if self._buffers:
            with torch.no_grad():
                torch._foreach_copy_(self._kept, self._buffers)

    @torch.no_grad()
    def put_back(self) -> None:
        """Make the buffers what they were."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._kept)

    @torch.no_grad()
    def put_back_where(self, is_bad: torch.Tensor) -> None:
        """Do so on the device where a flag there says so, without a look at it.

        Args:
            is_bad: A scalar of bool.
        """
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(torch.where(is_bad, kept, buffer))


class KeptGenerators:
    """The generators that a forward pass draws from, as they were before it.

    Args:
        device: Where the model computes.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._kept: Tensors = {}

    def remember(self) -> None:
        """Keep their states."""
        self._kept["cpu"] = torch.random.get_rng_state()
        if self._device.startswith("cuda"):
            self._kept["device"] = torch.cuda.get_rng_state(self._device)
        elif self._device == "mps":
            self._kept["device"] = torch.mps.get_rng_state()

    def put_back(self) -> None:
        """Make them go on from there again."""
        torch.random.set_rng_state(self._kept["cpu"])
        if self._device.startswith("cuda"):
            torch.cuda.set_rng_state(self._kept["device"], self._device)
        elif self._device == "mps":
            torch.mps.set_rng_state(self._kept["device"])

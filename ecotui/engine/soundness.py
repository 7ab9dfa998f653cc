"""Whether everything that is trained is finite, in one pass over it; and what it is, in a word."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import nn

from ecotui.engine.tensors import as_bytes
from ecotui.engine.train_state import Trainable

DIGEST_BYTES = 16


class Soundness:
    """Looks at weights, their average, running statistics and the optimizer's moments.

    Args:
        trainable: What is looked at.

    Attributes:
        exempt: Names of buffers that were not finite to begin with, such as masks of attention:
            nothing is wrong with those.
    """

    def __init__(self, trainable: Trainable) -> None:
        self._trainable = trainable
        self.exempt = frozenset(
            name for name, buffer in trainable.network.named_buffers() if not _is_finite([buffer])
        )

    @torch.no_grad()
    def broken(self) -> list[str]:
        """Return the names of tensors with numbers that are not finite; waits for the device."""
        named = list(self._tensors())
        if _is_finite([tensor for _, tensor in named]):
            return []
        return [name for name, tensor in named if not _is_finite([tensor])]

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        trainable = self._trainable
        yield from self._held(trainable.network, "")
        if trainable.ema is not None:
            yield from self._held(trainable.ema.module, "average of ")
        names = {id(each): name for name, each in trainable.network.named_parameters()}
        for weight, state in trainable.optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and value.dim():
                    yield f"{key} of {names.get(id(weight), 'a weight')}", value

    def _held(self, network: nn.Module, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in network.state_dict().items():
            if name not in self.exempt:
                yield prefix + name, tensor


def _is_finite(tensors: list[torch.Tensor]) -> bool:
    """Say whether all numbers are finite, by their largest magnitudes, which NaN passes through."""
    floats = [each for each in tensors if each.is_floating_point() and each.numel()]
    if not floats:
        return True
    largest = torch._foreach_norm(floats, math.inf)
    return bool(torch.stack([each.float() for each in largest]).isfinite().all())


def weights_digest(network: nn.Module) -> str:
    """Return a hash of weights and buffers: equal where they are, bit for bit."""
    told = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, tensor in network.state_dict().items():
        told.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        if tensor.numel():
            told.update(as_bytes(tensor))
    return told.hexdigest()

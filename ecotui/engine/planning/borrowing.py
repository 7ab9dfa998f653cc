"""The network of a run lent to a measurement, and put back to the last bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ecotui.engine.assembly import Parts
from ecotui.engine.generators import pack_generators, unpack_generators
from ecotui.engine.seeds import derive_seed


@contextmanager
def borrowed(parts: Parts, purpose: str) -> Iterator[None]:
    """Lend the network for a block that trains it, and put back every trace.

    Weights and buffers are copied to host memory, and back into the same tensors;
    gradients are dropped; modes, those of the moving average too, and the generators of
    Python, NumPy and torch on each device become what they were. Optimizer and gradient
    scaler are not lent: a measurement makes its own (see `Rehearsal`).

    Args:
        parts: Of the run, before its first step.
        purpose: Decides what the block draws at random.
    """
    network = parts.trainable.network
    kept = [(tensor, _host_copy(tensor)) for tensor in _tensors(network)]
    modes = [(module, module.training) for module in (*network.modules(), *parts.judged.modules())]
    generators, record = pack_generators()
    seed = derive_seed(parts.config.train.seed, f"plan {purpose}")
    try:
        random.seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        torch.manual_seed(seed)
        yield
    finally:
        _put_back(kept)
        network.zero_grad(set_to_none=True)
        for module, was_training in modes:
            module.training = was_training
        unpack_generators(generators, record)


def kept_bytes(parts: Parts) -> int:
    """Return the host memory that the copies of `borrowed` take."""
    return sum(
        tensor.numel() * tensor.element_size() for tensor in _tensors(parts.trainable.network)
    )


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]


def _host_copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)


@torch.no_grad()
def _put_back(kept: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for tensor, copy in kept:
        tensor.copy_(copy)

"""Everything put back after a block that used the model: training then gives the same bits."""

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
def traceless(parts: Parts) -> Iterator[nn.Module]:
    """Lend the network, and put back buffers, modes, gradients and generators afterwards.

    Those of the average of the weights as well, where there is one.

    The weights are not looked after: who steps an optimizer does it on a copy.
    """
    network, ema = parts.trainable.network, parts.trainable.ema
    used = [network] if ema is None else [network, ema.module]
    buffers = [(each, each.detach().clone()) for part in used for each in part.buffers()]
    modes = [(module, module.training) for part in used for module in part.modules()]
    with untouched_generators(parts):
        try:
            yield network
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            network.zero_grad(set_to_none=True)
            for module, was_training in modes:
                module.training = was_training


@contextmanager
def untouched_generators(parts: Parts, purpose: str = "preflight") -> Iterator[None]:
    """Seed the generators for a block, and put those of every device back afterwards."""
    kept = pack_generators()
    seed = derive_seed(parts.config.train.seed, purpose)
    try:
        random.seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        torch.manual_seed(seed)  # of every device
        yield
    finally:
        unpack_generators(*kept)

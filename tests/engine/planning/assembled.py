"""Parts of a run on small photos, and everything about them that a measurement must not change."""

from __future__ import annotations

from typing import Any

import torch

from ecotui.engine.assembly import Parts, assemble
from ecotui.engine.data.index import build_index
from ecotui.engine.train_state import LoopState, capture
from tests.engine.harness import Harness

Everything = dict[str, Any]


def assembled(harness: Harness, **sections: dict[str, Any]) -> Parts:
    config = harness.config(**sections)
    return assemble(config, build_index(config.data, config.train.seed), lambda event: None)


def everything_of(parts: Parts) -> Everything:
    """Return a copy of the whole state, generators, modes and gradients included."""
    captured = capture(parts.trainable, LoopState())
    found: Everything = {
        f"{file}/{name}": tensor.detach().clone()
        for file, tensors in captured.tensors.items()
        for name, tensor in tensors.items()
    }
    network = parts.trainable.network
    found |= {f"buffer {name}": buffer.clone() for name, buffer in network.named_buffers()}
    found |= {f"mode {name}": module.training for name, module in network.named_modules()}
    found |= {f"judged {name}": each.training for name, each in parts.judged.named_modules()}
    found["record"] = captured.record
    found["rates"] = [group["lr"] for group in parts.trainable.optimizer.param_groups]
    return found


def same_everything(one: Everything, other: Everything) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in one.items()
    )

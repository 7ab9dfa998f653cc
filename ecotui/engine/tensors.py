"""Tensors as copies that training cannot change, and as safetensors."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch

Tensors = dict[str, torch.Tensor]


def snapshot(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Return copies in host memory that training cannot change any more.

    Weights that share memory are copied apart, which safetensors demands.
    """
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def encode_tensors(tensors: Tensors) -> bytes:
    """Return tensors as a safetensors file."""
    encoded: bytes = safetensors.torch.save(tensors)
    return encoded

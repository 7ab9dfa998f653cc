"""Copies to a CUDA device that go on while it computes what it was asked before."""

from __future__ import annotations

import functools

import torch


def copied_aside(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Copy a tensor to a CUDA device on a stream of its own.

    On the stream that computes it would have to wait for all that was asked there before. Nothing
    waits here: what computes with the copy begins once it is there, and its memory is used anew
    only after that is done.

    Source: the notes on CUDA semantics in PyTorch's documentation, and `Tensor.record_stream`.

    Args:
        tensor: In page-locked memory, or the copy is as slow as any.
        device: `cuda` or `cuda:N`.
    """
    computing, aside = torch.cuda.current_stream(device), _aside(device)
    with torch.cuda.stream(aside):
        there = tensor.to(device, non_blocking=True)
    computing.wait_stream(aside)
    there.record_stream(computing)
    return there


@functools.cache
def _aside(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)

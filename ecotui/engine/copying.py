"""Copies to a CUDA device that go on while it computes what it was asked before."""

from __future__ import annotations

import functools
from collections import deque

import torch

AHEAD = 2
"""Batches of images on the device beside the one that is computed with; the host waits before it
sends more. Where it ran further ahead, as it may while it scores, copies would fill the memory."""


def copied_aside(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Copy a batch of images to a CUDA device on a stream of its own.

    On the stream that computes it would have to wait for all that was asked there before. Here it
    does not: what computes with the copy begins once it is there, and its memory is used anew only
    after that is done.

    Source: the notes on CUDA semantics in PyTorch's documentation, and `Tensor.record_stream`.

    Args:
        tensor: [B, C, H, W] in page-locked memory, or the copy is as slow as any.
        device: `cuda` or `cuda:N`.
    """
    computing, aside = torch.cuda.current_stream(device), _aside(device)
    begun = torch.cuda.Event()
    begun.record(computing)
    waiting = _waiting(device)
    waiting.append(begun)
    if len(waiting) > AHEAD:
        waiting.popleft().synchronize()
    with torch.cuda.stream(aside):
        there = tensor.to(device, non_blocking=True)
    computing.wait_stream(aside)
    there.record_stream(computing)
    return there


@functools.cache
def _aside(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@functools.cache
def _waiting(device: str) -> deque[torch.cuda.Event]:
    """Return an event for each of the last copies, which comes when all before it is computed."""
    return deque()

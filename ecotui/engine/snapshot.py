"""Copies of the state in memory that is kept, so that training waits for the copying alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ecotui.engine.checkpoint import Steps
from ecotui.engine.tensors import Tensors, count_bytes

State = Mapping[str, Tensors]
"""Tensors by file and name."""

_TOUCHED_AT_ONCE_BYTES = 4_194_304


class Snapshot:
    """Buffers in host memory for a copy of a state; used again for each copy.

    Memory that was never touched costs some 4 s a GB at the first copy, touched
    once 0.06 s (measured on two cores), so it is made and touched ahead.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensors] = {}

    def prepare(self, state: State) -> Steps[None]:
        """Make and touch what a copy of such a state takes, stopping now and then."""
        kept: dict[str, Tensors] = {}
        for file, tensors in state.items():
            kept[file] = {}
            for name, tensor in tensors.items():
                buffer = _buffer_like(tensor)
                kept[file][name] = buffer
                yield from _touch(buffer)
        self._kept = kept

    @torch.no_grad()
    def take(self, state: State) -> State:
        """Return a copy of a state, good until the next one is taken."""
        self._kept = {
            file: {
                name: _fitting(self._kept.get(file, {}).get(name), tensor)
                for name, tensor in tensors.items()
            }
            for file, tensors in state.items()
        }
        devices = set()
        for file, tensors in state.items():
            for name, tensor in tensors.items():
                is_cuda = tensor.device.type == "cuda"
                self._kept[file][name].copy_(tensor, non_blocking=is_cuda)
                devices |= {tensor.device} if is_cuda else set()
        for device in devices:
            torch.cuda.synchronize(device)
        return self._kept


def state_bytes(state: State) -> int:
    """Return the size of a state's data."""
    return sum(count_bytes(tensors) for tensors in state.values())


def _fitting(buffer: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
        return _buffer_like(tensor)
    return buffer


def _buffer_like(tensor: torch.Tensor) -> torch.Tensor:
    """Return memory of the same layout, which is copied to fastest; page-locked for CUDA."""
    return torch.empty_like(
        tensor.detach(), device="cpu", pin_memory=tensor.device.type == "cuda", requires_grad=False
    )


def _touch(buffer: torch.Tensor) -> Steps[None]:
    if not buffer.numel():
        return
    flat = torch.as_strided(buffer, (buffer.numel(),), (1,)).view(torch.uint8).numpy()
    for start in range(0, flat.size, _TOUCHED_AT_ONCE_BYTES):
        flat[start : start + _TOUCHED_AT_ONCE_BYTES] = 0
        yield

"""Copies of the state in memory that is kept, so that training waits for the copying alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from ecotui.engine.checkpoint import Steps
from ecotui.engine.tensors import Tensors, count_bytes

State = Mapping[str, Tensors]
"""Tensors by file and name."""

_TOUCHED_AT_ONCE_BYTES = 4_194_304
_COPIED_AT_ONCE_BYTES = 8_388_608
_MAX_THREADS = 4
"""More do not copy faster: the memory is the limit."""

_Piece = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""Where to, and where from."""


class Snapshot:
    """Buffers in host memory for a copy of a state; used again for each copy.

    Memory that was never touched costs some 4 s a GB at the first copy, touched
    once 0.06 s (measured on two cores), so it is made and touched ahead.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensors] = {}

    def prepare(self, state: State) -> Steps[None]:
        """Make and touch what a copy of such a state takes, stopping now and then.

        What is there already stays, with what it holds.
        """
        kept: dict[str, Tensors] = {}
        for file, tensors in state.items():
            there = self._kept.get(file, {})
            kept[file] = {}
            for name, tensor in tensors.items():
                buffer = _fitting(there.get(name), tensor)
                kept[file][name] = buffer
                if buffer is not there.get(name):
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
        pieces: list[_Piece] = []
        devices = set()
        for file, tensors in state.items():
            for name, tensor in tensors.items():
                buffer = self._kept[file][name]
                if tensor.device.type == "cpu" and buffer.stride() == tensor.stride():
                    pieces += _pieces(buffer, tensor)
                else:
                    is_cuda = tensor.device.type == "cuda"
                    buffer.copy_(tensor, non_blocking=is_cuda)
                    devices |= {tensor.device} if is_cuda else set()
        _copy_shared(pieces)
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


def _pieces(buffer: torch.Tensor, tensor: torch.Tensor) -> list[_Piece]:
    into, source = _flat_bytes(buffer), _flat_bytes(tensor.detach())
    starts = range(0, into.size, _COPIED_AT_ONCE_BYTES)
    return [
        (into[start : start + _COPIED_AT_ONCE_BYTES], source[start : start + _COPIED_AT_ONCE_BYTES])
        for start in starts
    ]


def _copy_shared(pieces: list[_Piece]) -> None:
    """Copy pieces in this thread, with what help others can give.

    Each thread takes the next piece when it is free. torch's own copying shares
    each tensor out evenly and waits for the last thread: on a machine that has
    other work too, that took five times as long (1 GB: 0.13 s, and 0.4 to 1.0 s).
    """
    pieces.sort(key=lambda piece: piece[0].size)  # the largest are taken first

    def work() -> None:
        with contextlib.suppress(IndexError):  # none is left
            while True:
                np.copyto(*pieces.pop())

    num_helpers = min(_MAX_THREADS, torch.get_num_threads()) - 1
    helpers = [threading.Thread(target=work, daemon=True) for _ in range(num_helpers)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()


def _flat_bytes(tensor: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Return the memory of a tensor without gaps, whatever the order of its dimensions."""
    if not tensor.numel():
        return np.empty(0, dtype=np.uint8)
    flat: npt.NDArray[np.uint8] = (
        torch.as_strided(tensor, (tensor.numel(),), (1,)).view(torch.uint8).numpy()
    )
    return flat


def _touch(buffer: torch.Tensor) -> Steps[None]:
    flat = _flat_bytes(buffer)
    for start in range(0, flat.size, _TOUCHED_AT_ONCE_BYTES):
        flat[start : start + _TOUCHED_AT_ONCE_BYTES] = 0
        yield

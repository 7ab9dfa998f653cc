"""Memory that two processes share: a file without a name, so that nothing of it can be left behind.

Not in `/dev/shm`, which containers make 64 MB small: what does not fit there kills
its writer with SIGBUS. Here the writer is told, by an error it can name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import torch

_DTYPES = (torch.uint8, torch.float32)


def create() -> int:
    """Return the descriptor of an empty one, closed in programs that this process starts.

    Raises:
        OSError: No room, or too many open files.
    """
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create("ecotui-batch", os.MFD_CLOEXEC)
        except PermissionError:
            pass  # a sandbox that forbids it: a file on disk does the same
    with tempfile.TemporaryFile(prefix="ecotui-batch-") as file:
        return os.dup(file.fileno())


def write(descriptor: int, image: torch.Tensor) -> None:
    """Write a tensor's bytes, over those that are there.

    Written rather than mapped: where memory is short a write fails, while the
    first touch of a mapped page kills.

    Args:
        descriptor: From `create`.
        image: uint8 or float32.

    Raises:
        OSError: No room.
        TypeError: The tensor holds other numbers.
    """
    if image.dtype not in _DTYPES:
        raise TypeError(f"images of {image.dtype} in place of torch.uint8")
    left, offset = image.contiguous().numpy().data.cast("B"), 0
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def read(descriptor: int, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Return a copy of the tensor whose bytes a memory file holds.

    Args:
        descriptor: Of what was written.
        shape: Of the tensor; at least one number in all.
        dtype: uint8 or float32.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds fewer bytes.
    """
    image = torch.empty(tuple(shape), dtype=dtype)
    left, offset = image.numpy().data.cast("B"), 0
    while left:
        num_read = _read_into(left, descriptor, offset)
        if not num_read:
            raise ValueError(f"{offset} bytes came of {offset + len(left)}")
        left, offset = left[num_read:], offset + num_read
    return image


def _read_into(place: memoryview, descriptor: int, offset: int) -> int:
    """Read into memory, and return how many bytes; at a place, as both processes share one."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [place], offset)
    found = os.pread(descriptor, len(place), offset)  # an older macOS
    place[: len(found)] = found
    return len(found)

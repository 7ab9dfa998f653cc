"""Memory that two processes share: a file without a name, so that nothing of it can be left behind.

Not in `/dev/shm`, which containers make 64 MB small: what does not fit there kills
its writer with SIGBUS. Here the writer is told, by an error it can name.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Sequence

import torch

_BYTES = {torch.uint8: 1, torch.float32: 4}


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


def store(image: torch.Tensor) -> int:
    """Return the descriptor of a new one that holds a tensor's bytes.

    Written rather than mapped: where memory is short a write fails, while the
    first touch of a mapped page kills.

    Args:
        image: uint8 or float32.

    Raises:
        OSError: No room, or too many open files.
        TypeError: The tensor holds other numbers.
    """
    if image.dtype not in _BYTES:
        raise TypeError(f"images of {image.dtype} in place of torch.uint8")
    left = image.contiguous().numpy().data.cast("B")
    descriptor = create()
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def load(descriptor: int, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Return the tensor whose bytes a memory file holds, without copying them.

    The descriptor may be closed afterwards; the memory goes with the tensor.

    Args:
        descriptor: From `store`.
        shape: Of the tensor; at least one number in all.
        dtype: uint8 or float32.

    Raises:
        OSError: It cannot be mapped.
        ValueError: It holds fewer bytes.
    """
    count = 1
    for side in shape:
        count *= side
    mapped = _mapped(descriptor, _BYTES[dtype] * count)
    return torch.frombuffer(mapped, dtype=dtype).reshape(tuple(shape))


def _mapped(descriptor: int, num_bytes: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, num_bytes, trackfd=False)
    return mmap.mmap(descriptor, num_bytes)  # keeps a descriptor of its own open

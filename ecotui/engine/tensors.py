"""Tensors as bytes: what a safetensors file of them holds, without a copy of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ecotui.engine.checkpoint import Steps
from ecotui.engine.tensor_file import Entry, encode_header, in_file_order

Tensors = dict[str, torch.Tensor]

_ELEMENTS_AT_ONCE = 32_768
"""torch computes on the calling thread alone up to so many elements."""

_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "complex64": "C64",
}  # fmt: skip
_DTYPES = {getattr(torch, name): told for name, told in _NAMES.items() if hasattr(torch, name)}
"""The format's names of torch's types; older releases of torch do not have them all."""


@dataclass(frozen=True, slots=True)
class TensorFile:
    """Tensors as the pieces of a safetensors file; they must stay as they are meanwhile.

    Attributes:
        tensors: By name, on any device, in any layout; those that share memory
            are written apart.
    """

    tensors: Mapping[str, torch.Tensor]

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Yield the header, then each tensor's bytes."""
        entries = describe(self.tensors)
        yield encode_header(entries.values())
        for entry in in_file_order(entries.values()):
            if entry.num_bytes:
                yield as_bytes(self.tensors[entry.name])

    @property
    def num_bytes(self) -> int:
        """Size of the file, to within the header's."""
        return count_bytes(self.tensors)


def describe(tensors: Mapping[str, torch.Tensor]) -> dict[str, Entry]:
    """Return what the header of a file says of tensors, by name.

    Raises:
        TypeError: The format has no name for a tensor's type.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise TypeError(f"{name} is of type {tensor.dtype}, which safetensors does not know")
    return {
        name: Entry(name, _DTYPES[tensor.dtype], tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor in row-major order; its own where it lies so in host memory."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    array: Any = flat.view(torch.uint8).numpy()
    return memoryview(array)


def count_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Return the size of tensors' data."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def find_finite(tensors: Mapping[str, torch.Tensor]) -> Steps[bool]:
    """Say whether all numbers are finite, stopping after each tensor."""
    for tensor in tensors.values():
        if not (tensor.is_floating_point() or tensor.is_complex()) or not tensor.numel():
            continue
        if not _is_finite(tensor.detach()):
            return False
        yield
    return True


def _is_finite(tensor: torch.Tensor) -> bool:
    flat = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = flat.contiguous().reshape(-1)
    if flat.device.type != "cpu":
        return bool(flat.float().isfinite().all())
    for part in flat.split(_ELEMENTS_AT_ONCE):
        # Of the extremes, which NaN passes through: ten times faster than isfinite.
        wide = part.float() if part.element_size() < 4 else part
        low, high = wide.aminmax()
        if not (high - high + low - low == 0).item():
            return False
    return True

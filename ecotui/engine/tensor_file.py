"""The header of a safetensors file, written and read without the tensors themselves.

Eight bytes of length, little-endian; JSON, padded with spaces to a multiple of
eight; then the tensors' bytes, one after the other without gaps. Needs no torch.
Source: the format as its authors describe it in the safetensors repository.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 100_000_000
"""What safetensors itself accepts."""

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Size of an element in bytes, by the format's name of its type."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor as the header tells of it.

    Attributes:
        name: Of the tensor.
        dtype: One of `ITEM_BYTES`.
        shape: Empty for a scalar.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Size of its data."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def in_file_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order in which their data lie: larger elements first.

    So each tensor begins at a multiple of its element's size.
    """
    return sorted(entries, key=lambda entry: (-ITEM_BYTES[entry.dtype], entry.name))


def encode_header(entries: Iterable[Entry]) -> bytes:
    """Return what a file begins with whose data follow in `in_file_order`."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for entry in in_file_order(entries):
        end = offset + entry.num_bytes
        table[entry.name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def read_header(path: Path) -> dict[str, Entry]:
    """Return the tensors that a file says it holds, by name.

    Raises:
        ValueError: It is no safetensors file, or its header is beyond the limit.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise ValueError(f"{path.name} has a header of {length} bytes")
        table = json.loads(file.read(length))
    if not isinstance(table, dict):
        raise ValueError(f"{path.name} has no table of tensors")
    return {name: _entry(name, told) for name, told in table.items() if name != "__metadata__"}


def _entry(name: str, told: Any) -> Entry:
    try:
        dtype, shape = str(told["dtype"]), tuple(told["shape"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"the header does not describe {name}") from error
    if dtype not in ITEM_BYTES or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"the header describes {name} in an unknown way")
    return Entry(name, dtype, shape)

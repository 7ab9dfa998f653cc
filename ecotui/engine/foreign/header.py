"""The header of a safetensors file, read and checked here rather than by who loads it.

Needs neither torch nor numpy, and never looks at the numbers themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ecotui.engine.foreign.specs import (
    ITEM_BYTES,
    MAX_DIMENSIONS,
    MAX_TENSORS,
    TensorSpec,
    is_plain_name,
    product,
    refused,
)
from ecotui.text import visible

PREFIX_BYTES = 8
MAX_HEADER_BYTES = 8_000_000
"""The format allows 100 MB, which parsed would take a gigabyte; a model of 2,000 tensors has
200 kB."""
_MAX_ITEMS = 1_000_000
_METADATA = "__metadata__"
_EXPECTED = "a safetensors file as the format's own library writes it"
_REMEDY = "download the file again, or write it anew with safetensors.torch.save_file"


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What a sound header says.

    Attributes:
        tensors: By name, in the order of their bytes.
        metadata: Free words of who wrote the file.
    """

    tensors: Mapping[str, TensorSpec]
    metadata: Mapping[str, str]


class _FaultError(Exception):
    """What is wrong with a header."""


def read_header(file: BinaryIO) -> SafetensorsHeader:
    """Read and check the header of a file, whatever it is called.

    Raises:
        RefusedFileError: The header is not sound.
    """
    try:
        return _checked(file)
    except _FaultError as fault:
        what = f"the safetensors file is damaged or made to mislead: {fault}"
        raise refused(what, _REMEDY, _EXPECTED) from None


def _checked(file: BinaryIO) -> SafetensorsHeader:
    file_bytes = os.fstat(file.fileno()).st_size
    file.seek(0)
    header_bytes = int.from_bytes(file.read(PREFIX_BYTES), "little")
    if header_bytes > MAX_HEADER_BYTES:
        raise _FaultError(f"its header claims {header_bytes:,} bytes")
    if PREFIX_BYTES + header_bytes > file_bytes:
        raise _FaultError("it ends within its header")
    table = _parsed(file.read(header_bytes))
    metadata = _metadata(table.pop(_METADATA, {}))
    places = {name: _place(name, entry) for name, entry in table.items()}
    if not places:
        raise _FaultError("it holds no tensor")
    _check_places(places, file_bytes - PREFIX_BYTES - header_bytes)
    ordered = sorted(places, key=lambda name: places[name][1])
    return SafetensorsHeader({name: places[name][0] for name in ordered}, metadata)


def _parsed(raw: bytes) -> dict[str, Any]:
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _MAX_ITEMS:
        raise _FaultError("its header lists more than any model has")
    try:
        table = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise _FaultError(f"its header is not JSON ({visible(error, limit=80)})") from error
    if not isinstance(table, dict):
        raise _FaultError("its header is not a table")
    if len(table) > MAX_TENSORS:
        raise _FaultError(f"its header lists {len(table):,} tensors")
    return table


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _FaultError("its header names something twice")
    return table


def _no_constant(word: str) -> None:
    raise _FaultError(f"its header holds {word}")


def _metadata(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(word, str) for word in found.values()):
        raise _FaultError("its metadata are not words")
    return found


def _place(name: str, entry: Any) -> tuple[TensorSpec, int, int]:
    """Return what an entry says, and where the numbers begin and end."""
    shown = visible(name, limit=80)
    if not is_plain_name(name):
        raise _FaultError(f"'{shown}' is no name of a tensor")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _FaultError(f"the entry of '{shown}' is not one of the format")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise _FaultError(f"'{shown}' has a type of numbers that is not known")
    if not _are_lengths(shape) or len(shape) > MAX_DIMENSIONS:
        raise _FaultError(f"'{shown}' has no shape")
    if not _are_lengths(offsets) or len(offsets) != 2:
        raise _FaultError(f"'{shown}' has no place")
    begin, end = offsets
    spec = TensorSpec(dtype, tuple(shape))
    if end - begin != product(spec.shape) * ITEM_BYTES[dtype]:
        raise _FaultError(f"'{shown}' has a place of another size than its shape")
    return spec, begin, end


def _are_lengths(found: Any) -> bool:
    return isinstance(found, list) and all(type(each) is int and each >= 0 for each in found)


def _check_places(places: Mapping[str, tuple[TensorSpec, int, int]], data_bytes: int) -> None:
    """See that the tensors lie side by side, without holes or overlaps, to the file's end."""
    expected = 0
    for name, (_, begin, end) in sorted(places.items(), key=lambda item: item[1][1:]):
        if begin != expected:
            raise _FaultError(
                f"'{visible(name, limit=80)}' overlaps another tensor or leaves a hole"
            )
        expected = end
    if expected != data_bytes:
        raise _FaultError(f"its tensors take {expected:,} bytes, and it holds {data_bytes:,}")

"""What a pickle of weights may be made of, as stand-ins: nothing of it is ever called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecotui.engine.foreign.archive import Member
from ecotui.engine.foreign.specs import ITEM_BYTES, MAX_DIMENSIONS, TensorSpec, product

STORAGES = {
    "torch DoubleStorage": "F64",
    "torch FloatStorage": "F32",
    "torch HalfStorage": "F16",
    "torch BFloat16Storage": "BF16",
    "torch LongStorage": "I64",
    "torch IntStorage": "I32",
    "torch ShortStorage": "I16",
    "torch CharStorage": "I8",
    "torch ByteStorage": "U8",
    "torch BoolStorage": "BOOL",
    "torch ComplexFloatStorage": "C64",
}
"""Kinds of storage by their global, with the numbers they hold."""

DTYPES = frozenset(
    f"torch {name}"
    for name in (
        *("float16", "bfloat16", "float32", "float64", "complex64", "bool"),
        *("uint8", "int8", "int16", "int32", "int64"),
    )
)
"""Types of numbers that may stand among the settings."""

ORDERED, COUNTER = "collections OrderedDict", "collections Counter"
SIZE, DEVICE = "torch Size", "torch device"
TENSOR, PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
CALLABLES = frozenset({ORDERED, COUNTER, SIZE, DEVICE, TENSOR, PARAMETER})
"""All that a pickle of weights calls; each is acted out below, with its arguments checked."""
ALLOWED = CALLABLES | DTYPES | STORAGES.keys()

_PLACE = re.compile(r"[a-z]{1,16}(:[0-9]{1,3})?")


class FaultError(Exception):
    """What is wrong with a pickle."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle asks for, as `module name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie in a member of the archive."""

    key: str
    dtype: str
    num_elements: int


class Table(dict[Any, Any]):
    """An OrderedDict; those that stand for the hooks of a tensor stay empty."""

    is_sealed = False


class Opaque:
    """A value that is no tensor and no container, such as a device."""


class Arguments:
    """Acts out what a pickle calls, with the archive's members as the truth.

    Args:
        members: Of the archive.
    """

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._members = members
        self._storages: dict[str, Storage] = {}

    def storage(self, given: Any) -> Storage:
        """Return what a persistent id names.

        Raises:
            FaultError: It names no numbers of the archive, or others than lie there.
        """
        if type(given) is not tuple or len(given) != 5 or given[0] != "storage":
            raise FaultError("it refers to something outside that is not numbers")
        _, kind, key, place, num_elements = given
        dtype = STORAGES.get(kind.name) if isinstance(kind, Global) else None
        member = self._members.get(f"data/{key}") if type(key) is str else None
        if dtype is None or member is None or type(num_elements) is not int:
            raise FaultError("it refers to numbers that are not in the archive")
        if type(place) is not str or not _PLACE.fullmatch(place):
            raise FaultError("it names a device that is none")
        if num_elements * ITEM_BYTES[dtype] != member.num_bytes:
            raise FaultError(f"data/{key} does not hold the {num_elements:,} numbers it should")
        found = Storage(key, dtype, num_elements)
        if self._storages.setdefault(key, found) != found:
            raise FaultError(f"data/{key} is taken for two kinds of numbers")
        return found

    def call(self, called: Any, arguments: Any) -> Any:
        """Return what a call gives.

        Raises:
            FaultError: It is not among the calls that weights need, or not called as they do.
        """
        if not isinstance(called, Global) or called.name not in CALLABLES:
            raise FaultError("it calls what is no part of weights")
        if type(arguments) is not tuple:
            raise FaultError(f"it calls {called.name} without arguments")
        acted = {
            ORDERED: _ordered,
            COUNTER: _counter,
            SIZE: _size,
            DEVICE: _device,
            TENSOR: _tensor,
            PARAMETER: _parameter,
        }[called.name](arguments)
        if acted is None:
            raise FaultError(f"it calls {called.name} with arguments that torch.save never writes")
        return acted


def _ordered(given: tuple[Any, ...]) -> Table | None:
    return None if given else Table()


def _counter(given: tuple[Any, ...]) -> Opaque | None:
    return Opaque() if len(given) == 1 and type(given[0]) is dict else None


def _size(given: tuple[Any, ...]) -> tuple[int, ...] | None:
    return given[0] if len(given) == 1 and _are_lengths(given[0]) else None


def _device(given: tuple[Any, ...]) -> Opaque | None:
    is_named = len(given) in (1, 2) and type(given[0]) is str and _PLACE.fullmatch(given[0])
    return Opaque() if is_named and all(type(index) is int for index in given[1:]) else None


def _tensor(given: tuple[Any, ...]) -> TensorSpec | None:
    if len(given) != 6:
        return None
    storage, offset, shape, strides, requires_grad, hooks = given
    if not isinstance(storage, Storage) or type(requires_grad) is not bool or not _seal(hooks):
        return None
    if type(offset) is not int or not _are_lengths(shape) or not _are_lengths(strides):
        return None
    if not 0 <= offset <= storage.num_elements or len(shape) != len(strides):
        return None
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if product(shape) and last >= storage.num_elements:
        raise FaultError("a tensor reaches beyond its numbers")
    return TensorSpec(storage.dtype, shape)


def _parameter(given: tuple[Any, ...]) -> TensorSpec | None:
    if len(given) != 3 or type(given[1]) is not bool or not _seal(given[2]):
        return None
    return given[0] if isinstance(given[0], TensorSpec) else None


def _are_lengths(found: Any) -> bool:
    return (
        type(found) is tuple
        and len(found) <= MAX_DIMENSIONS
        and all(type(each) is int and 0 <= each < 2**62 for each in found)
    )


def _seal(hooks: Any) -> bool:
    """Keep the hooks of a tensor empty for good, and say whether they are."""
    if not isinstance(hooks, Table) or hooks:
        return False
    hooks.is_sealed = True
    return True

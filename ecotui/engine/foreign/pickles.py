"""A pickle of weights, read without being run: every opcode is acted out on stand-ins.

What torch's own restricted unpickler would refuse is refused here, and more: the
few calls that weights need are checked down to their arguments, because in older
releases allowed calls with crafted arguments reached beyond their memory
(CVE-2026-24747). Needs no torch, imports nothing that a pickle names.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from ecotui.engine.foreign.archive import Member
from ecotui.engine.foreign.specs import refused
from ecotui.engine.foreign.values import ALLOWED, DTYPES, Arguments, FaultError, Global, Table
from ecotui.text import visible

MAX_PICKLE_BYTES = 8_000_000
MAX_OPCODES = 400_000
"""Some 40 are needed a tensor; so many take half a second to look through."""
MAX_NESTING = 64
PROTOCOL = 2
"""The one that torch.save writes."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MAX_LONG_BYTES = 8


def read_pickle(data: bytes, members: Mapping[str, Member]) -> Any:
    """Return what a pickle describes, with a `TensorSpec` for each tensor.

    Args:
        data: The pickle.
        members: Of the archive that it lies in, with the numbers.

    Raises:
        RefusedFileError: It holds anything that weights do not need.
    """
    try:
        return _Machine(members).run(data)
    except FaultError as fault:
        raise refused(f"the file is no plain file of weights: {fault}") from None
    # pickletools warns of escapes in names, which is an exception where warnings are.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, Warning):
        raise refused("the file's table of weights is damaged") from None


class _Machine:
    """The stack, the marks and the memo of an unpickler."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._arguments = Arguments(members)
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[Any], None]] = {
            "PROTO": self._proto,
            "GLOBAL": self._global,
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "BINPERSID": self._persistent,
            "MARK": self._mark,
            "TUPLE": self._tuple,
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._unmark()),
            "SETITEM": lambda _: self._fill([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._fill(self._unmark()),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "BINGET": lambda index: self._stack.append(self._memo[index]),
            "LONG_BINGET": lambda index: self._stack.append(self._memo[index]),
        }

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if count >= MAX_OPCODES:
                raise FaultError(f"its table takes more than {MAX_OPCODES:,} steps to read")
            name = opcode.name
            if (name == "PROTO") != (count == 0):
                raise FaultError("its table does not begin as torch.save's do")
            if name == "STOP":
                return self._result(position or 0, len(data))
            if name == "GLOBAL" and not data.startswith(_written(str(argument)), position):
                raise FaultError("it spells a name so that it reads otherwise than it runs")
            self._act(name, argument)
        raise FaultError("its table has no end")

    def _act(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _NUMBERS:
            if name == "LONG1" and argument.bit_length() >= 8 * _MAX_LONG_BYTES:
                raise FaultError("it holds a number beyond all measure")
            self._stack.append(argument)
        elif name in _TUPLES:
            items = self._stack[-_TUPLES[name] :]
            if len(items) != _TUPLES[name]:
                raise IndexError
            self._stack[-_TUPLES[name] :] = [tuple(items)]
        elif name in self._actions:
            self._actions[name](argument)
        else:
            raise FaultError(f"it uses the instruction {name}, which weights do not need")

    def _result(self, position: int, num_bytes: int) -> Any:
        if self._marked or len(self._stack) != 1 or position + 1 != num_bytes:
            raise FaultError("something follows its table")
        return self._stack[0]

    def _proto(self, version: int) -> None:
        if version != PROTOCOL:
            raise FaultError(f"it is a pickle of protocol {version} instead of {PROTOCOL}")

    def _global(self, name: str) -> None:
        if name not in ALLOWED:
            raise FaultError(f"it asks for {visible(name.replace(' ', '.'), limit=100)}")
        self._stack.append(Global(name))

    def _reduce(self, _: Any) -> None:
        arguments = self._stack.pop()
        self._stack[-1] = self._arguments.call(self._stack[-1], arguments)

    def _build(self, _: Any) -> None:
        """Accept the one attribute that a state dict carries: versions of its modules."""
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) is not Table or type(state) is not dict or state.keys() - {"_metadata"}:
            raise FaultError("it changes what is no state dict")
        if not isinstance(state.get("_metadata", Table()), dict):
            raise FaultError("it changes what is no state dict")

    def _persistent(self, _: Any) -> None:
        self._stack[-1] = self._arguments.storage(self._stack[-1])

    def _mark(self, _: Any) -> None:
        if len(self._marked) >= MAX_NESTING:
            raise FaultError("it is nested deeper than weights are")
        self._marked.append(self._stack)
        self._stack = []

    def _unmark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _tuple(self, _: Any) -> None:
        items = tuple(self._unmark())
        self._stack.append(items)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise FaultError("it adds to what is no list")
        _check_inert(items)
        target.extend(items)

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        keys = items[::2]
        if not isinstance(target, dict) or len(items) % 2:
            raise FaultError("it fills what is no table")
        if isinstance(target, Table) and target.is_sealed:
            raise FaultError("it gives hooks to a tensor")
        if not all(type(key) in (str, int, float) for key in keys):
            raise FaultError("it has a table with keys that are neither words nor numbers")
        _check_inert(items)
        target.update(zip(keys, items[1::2], strict=True))

    def _put(self, index: int) -> None:
        if index > MAX_OPCODES:
            raise FaultError("it remembers more than it has")
        self._memo[index] = self._stack[-1]


def _written(name: str) -> bytes:
    """Return how a name must be written: pickletools undoes escapes that unpicklers take as is."""
    return b"c" + name.replace(" ", "\n", 1).encode() + b"\n"


def _check_inert(items: list[Any]) -> None:
    """Keep what can be called out of the containers; a type of numbers is mere words."""
    for item in items:
        if isinstance(item, Global) and item.name not in DTYPES:
            raise FaultError(f"it keeps {visible(item.name)} itself")

"""Counts what would make the host wait for an accelerator, with the CPU in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = (
    "_local_scalar_dense",  # item, float, int, bool
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "bincount",
    "unique",
    "lift_fresh",  # torch.tensor of a number: made on the host, and copied
)
_BY_METHOD = ("tolist", "numpy", "cpu")


class _Watch(TorchDispatchMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.partition("::")[2]
        if name in _WAITING:
            self._seen.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def host_reads() -> Iterator[list[str]]:
    """Yield the names of the reads that happen within, in order."""
    seen: list[str] = []
    real = {name: getattr(torch.Tensor, name) for name in _BY_METHOD}

    def counted(name: str) -> Any:
        def read(tensor: torch.Tensor, *arguments: Any, **named: Any) -> Any:
            seen.append(name)
            return real[name](tensor, *arguments, **named)

        return read

    for name in _BY_METHOD:
        setattr(torch.Tensor, name, counted(name))
    try:
        with _Watch(seen):
            yield seen
    finally:
        for name, method in real.items():
            setattr(torch.Tensor, name, method)

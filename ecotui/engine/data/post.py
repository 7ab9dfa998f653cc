"""The way of a batch's pixels from a worker to the engine: memory files, each used again.

Pages that the kernel hands out for the first time take longer than copying into them does, and so
a worker fills a file again once the engine has said that it has taken what was in it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch

from ecotui.engine.data import memory_file


class Outbox:
    """The worker's end."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._free: list[int] = []

    def put(self, images: torch.Tensor) -> tuple[int, int | None]:
        """Write a batch down.

        Args:
            images: uint8 or float32.

        Returns:
            The number of its file, and the file's descriptor where the engine has yet to get it.

        Raises:
            OSError: No room, or too many open files.
            TypeError: The tensor holds other numbers.
        """
        if self._free:
            number = self._free[-1]
            memory_file.write(self._descriptors[number], images)
            self._free.pop()
            return number, None
        descriptor = memory_file.create()
        try:
            memory_file.write(descriptor, images)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptors.append(descriptor)
        return len(self._descriptors) - 1, descriptor

    def take_back(self, numbers: Iterable[int]) -> None:
        """Fill these files again: the engine has taken what was in them."""
        self._free.extend(numbers)

    def close(self) -> None:
        """Give the files back; what the engine has not taken yet, it can still take."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._free.clear()


class Inbox:
    """The engine's end of the same worker's."""

    _all: ClassVar[weakref.WeakSet[Inbox]] = weakref.WeakSet()

    def __init__(self) -> None:
        self._descriptors: dict[int, int] = {}
        self._emptied: list[int] = []
        self._all.add(self)

    @classmethod
    def close_inherited(cls) -> None:
        """Give back, in a forked worker, what the engine had open of other workers' files.

        A file's memory is there for as long as anybody has it open.
        """
        for inbox in list(cls._all):
            inbox.close()

    def take(
        self, number: int, descriptor: int | None, shape: Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        """Return a copy of what a file holds.

        Args:
            number: Of the file.
            descriptor: Of it, the first time; stays the caller's to close.
            shape: Of the tensor.
            dtype: uint8 or float32.

        Raises:
            OSError: It cannot be read, or too many files are open.
            ValueError: It holds fewer bytes, or was never sent.
        """
        if descriptor is not None:
            self._descriptors[number] = os.dup(descriptor)
        if number not in self._descriptors:
            raise ValueError(f"its file {number} never came")
        images = memory_file.read(self._descriptors[number], shape, dtype)
        self._emptied.append(number)
        return images

    def emptied(self) -> list[int]:
        """Return the files that may be filled again, each once."""
        numbers, self._emptied = self._emptied, []
        return numbers

    def close(self) -> None:
        """Give the files back."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

"""Training loops in threads of one process that go on in turn, a step of each after the other.

Loops of frameworks cannot be called for one step. What they all do is to call the network: there
each loop waits until it is its turn, and from there to its next call is a step of it, with all
that its framework does between two of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


class Turn:
    """When one loop may go on.

    Attributes:
        times: Of its whole steps, seconds.
        fault: What ended its thread; None while it lives.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.fault: BaseException | None = None
        self._go, self._is_back = threading.Event(), threading.Event()
        self._resumed = 0.0

    def wait_at(self, network: nn.Module) -> nn.Module:
        """Let a network's calls wait for their turn; return it."""
        network.register_forward_pre_hook(self._at_call)
        return network

    def begin(self, loop: Callable[[], None]) -> None:
        """Start a loop, up to its first call of the network."""

        def run() -> None:
            try:
                loop()
            except BaseException as error:
                self.fault = error
            self._is_back.set()

        threading.Thread(target=run, daemon=True).start()
        self._wait()

    def take(self) -> None:
        """Let the loop take a step, and wait for it.

        Raises:
            RuntimeError: The loop ended.
        """
        self._is_back.clear()
        self._go.set()
        self._wait()

    def _wait(self) -> None:
        self._is_back.wait()
        if self.fault is not None:
            raise RuntimeError("a loop ended early") from self.fault

    def _at_call(self, *_: Any) -> None:
        if self._resumed:
            self.times.append(time.perf_counter() - self._resumed)
        self._is_back.set()
        self._go.wait()
        self._go.clear()
        self._resumed = time.perf_counter()


def take_turns(loops: Mapping[str, tuple[Turn, Callable[[], None]]], steps: int) -> None:
    """Let every loop take so many steps, each of them first, second and so on equally often."""
    turns = [turn for turn, _ in loops.values()]
    for turn, loop in loops.values():
        turn.begin(loop)
    for number in range(steps):
        for place in range(len(turns)):
            turns[(place + number) % len(turns)].take()

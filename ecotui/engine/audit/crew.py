"""Threads that the process need not wait for: one that reads a lost mount never ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew(Generic[Item, Result]):
    """Does one kind of work in threads, in the order in which it was handed in.

    The threads of a ThreadPoolExecutor are joined at the interpreter's exit, which one that
    hangs in a system call would hold up for ever; these are daemons.

    Args:
        work: What is done with each item.
        threads: How many do it at a time.
    """

    def __init__(self, work: Callable[[Item], Result], threads: int) -> None:
        self._work = work
        self._queue: SimpleQueue[tuple[Item, Future[Result]] | None] = SimpleQueue()
        self._num_threads = 0
        for _ in range(threads):
            self.add_thread()

    def add_thread(self) -> None:
        """Have one thread more, in place of one that is not expected back."""
        self._num_threads += 1
        threading.Thread(target=self._run, name="audit", daemon=True).start()

    def submit(self, item: Item) -> Future[Result]:
        """Hand an item in."""
        future: Future[Result] = Future()
        self._queue.put((item, future))
        return future

    def dismiss(self) -> None:
        """Begin nothing more; threads end with what they are doing."""
        while not self._queue.empty():
            self._queue.get()
        for _ in range(self._num_threads):
            self._queue.put(None)

    def _run(self) -> None:
        while (given := self._queue.get()) is not None:
            item, future = given
            try:
                result = self._work(item)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

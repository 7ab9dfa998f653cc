"""Worker processes, each with a connection of its own, and what can go wrong with them.

Not torch's DataLoader: its workers share a queue and its locks, its engine blocks
for ever in the hand-over of a batch whose worker has stopped, and its SIGCHLD
handler raises in whatever the engine is doing, be it an optimizer's update.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Literal

from ecotui.engine.data.channel import Channel, Record
from ecotui.engine.data.dataset import Batch, PhotoDataset
from ecotui.engine.data.post import Inbox
from ecotui.engine.data.reading import Board, Place, received, serve
from ecotui.engine.data.sampler import Key
from ecotui.engine.data.workers import STACKS_SIGNAL
from ecotui.engine.heap import release_freed
from ecotui.text import visible

STACKS_SECONDS = 0.2
"""How long workers get to write down their stacks before they are ended."""

GRACE_SECONDS = 0.2
"""How long workers may take to leave when they are asked to, before they are killed."""

DEATH_SECONDS = 1.0
"""How long the kernel may take to end a process."""

_GUESSES = {
    "SIGKILL": ", often the system running out of memory",
    "SIGBUS": ", often memory or a disk that is full",
    "SIGSEGV": ", a fault in native code",
    "SIGABRT": ", a library giving up on an error of its own",
}


class LoaderFault(Exception):  # noqa: N818 - what happened to a worker; most are got over
    """Workers died, hung or could not do their work.

    Attributes:
        what: What happened, for a person, without the file.
        kind: `died` or `hung` at a sample or elsewhere, or `failed`: no process, memory or
            file to work with.
        sample_id: Of the sample that the worker was at.
    """

    def __init__(
        self, what: str, kind: Literal["died", "hung", "failed"], sample_id: int | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.kind = kind
        self.sample_id = sample_id


@dataclass(slots=True)
class _Worker:
    number: int
    process: BaseProcess
    channel: Channel
    board: Board
    board_descriptor: int | None
    """Kept until the worker has answered: macOS may lose one that is closed on its way (Python's
    issue 14669)."""
    inbox: Inbox = field(default_factory=Inbox)
    asked: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"loader worker {self.number} (process {self.process.pid})"

    def close_descriptor(self) -> None:
        if self.board_descriptor is not None:
            os.close(self.board_descriptor)
            self.board_descriptor = None


class WorkerPool:
    """Processes that read batches ahead.

    Args:
        dataset: What they read.
        workers: How many, from 1.
        method: How they are started.

    Raises:
        LoaderFault: One cannot be started.
    """

    def __init__(
        self, dataset: PhotoDataset, workers: int, method: Literal["fork", "spawn"]
    ) -> None:
        self._workers: list[_Worker] = []
        if method == "fork":
            release_freed()  # or it stays theirs, while this process fills pages of its own
        try:
            for number in range(1, workers + 1):
                self._workers.append(_start(number, dataset, method))
        except OSError as error:
            self.end()
            raise LoaderFault(f"no worker can be started ({visible(error)})", "failed") from error

    def __len__(self) -> int:
        return len(self._workers)

    def ask(self, serial: int, keys: Sequence[Key]) -> None:
        """Ask the least busy worker for a batch.

        Args:
            serial: Comes back with it.
            keys: Of its samples, in order.
        """
        worker = min(self._workers, key=lambda each: len(each.asked))
        worker.asked.add(serial)
        # A worker that is gone is found out about where its answer is waited for.
        with contextlib.suppress(OSError):
            worker.channel.send(
                {
                    "serial": serial,
                    "keys": [list(key) for key in keys],
                    "emptied": worker.inbox.emptied(),
                }
            )

    def leave_out(self, sample_id: int, reason: str) -> None:
        """Let the workers read a sample no more, in batches that they are asked for from now on."""
        for worker in self._workers:
            with contextlib.suppress(OSError):  # one that is gone is started anew without it
                worker.channel.send({"leave_out": [sample_id, reason]})

    def wait(self, seconds: float) -> list[tuple[int, Batch]]:
        """Return the batches that have come, by serial; waits where there are none.

        Raises:
            LoaderFault: A worker is dead, or says that it could not do its work.
        """
        for worker in self._workers:
            if worker.channel.has_unsent:
                with contextlib.suppress(OSError):
                    worker.channel.flush()
        ready = wait([worker.channel.fileno() for worker in self._workers], seconds)
        found: list[tuple[int, Batch]] = []
        for worker in self._workers:
            if worker.channel.fileno() in ready:
                found += self._take(worker)
        return found

    def place(self, serial: int) -> Place | None:
        """Return where the worker is that was asked for a batch."""
        worker = self._asked(serial)
        return None if worker is None else worker.board.place()

    def hung(self, serial: int, seconds: float) -> LoaderFault:
        """Return the fault of a batch that does not come."""
        worker = self._asked(serial)
        if worker is None:
            return LoaderFault("a batch was lost between the processes", "failed")
        sample_id = worker.board.place().sample_id
        what = f"{worker.name} has not moved for {seconds:.0f} s"
        return LoaderFault(what, "hung", sample_id)

    def dump_stacks(self) -> None:
        """Write the stacks of this process and of the living workers to stderr."""
        faulthandler.dump_traceback(file=2)
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid is not None:
                os.kill(worker.process.pid, STACKS_SIGNAL)
        wait([worker.process.sentinel for worker in self._workers], STACKS_SECONDS)

    def end(self) -> None:
        """End all workers, whatever state they are in, and leave no zombie.

        One that the kernel holds (a read from a dead network disk) cannot be ended
        by anybody: it is left to vanish when its read does.
        """
        processes = [worker.process for worker in self._workers]
        steps = ((BaseProcess.terminate, GRACE_SECONDS), (BaseProcess.kill, DEATH_SECONDS))
        for end, seconds in steps:
            for process in processes:
                end(process)
            deadline = time.monotonic() + seconds
            for process in processes:
                process.join(max(0.0, deadline - time.monotonic()))
        for worker in self._workers:
            worker.channel.close()
            worker.inbox.close()
            worker.board.close()
            worker.close_descriptor()
        self._workers = []

    def _asked(self, serial: int) -> _Worker | None:
        return next((worker for worker in self._workers if serial in worker.asked), None)

    def _take(self, worker: _Worker) -> list[tuple[int, Batch]]:
        try:
            records = worker.channel.receive()
        except (EOFError, ConnectionError):
            raise _death(worker) from None
        except OSError as error:
            raise LoaderFault(f"{worker.name}: {visible(error)}", "failed") from error
        with contextlib.ExitStack() as stack:
            for _, descriptor in records:
                if descriptor is not None:
                    stack.callback(os.close, descriptor)
            if records:
                worker.close_descriptor()
            return [_answer(worker, *record) for record in records]


def _start(number: int, dataset: PhotoDataset, method: Literal["fork", "spawn"]) -> _Worker:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo, theirs:
        undo.callback(ours.close)
        board, descriptor = Board.create()
        undo.callback(board.close)
        undo.callback(os.close, descriptor)
        process = _process(method, (theirs, dataset, os.getpid()))
        process.start()
        undo.callback(process.kill)
        Channel(ours, is_patient=True).send({}, descriptor)
        undo.pop_all()
    return _Worker(number, process, Channel(ours, is_patient=False), board, descriptor)


def _process(method: Literal["fork", "spawn"], arguments: tuple[object, ...]) -> BaseProcess:
    if method == "fork":
        forking = multiprocessing.get_context("fork")
        return forking.Process(target=serve, args=arguments, daemon=True)
    spawning = multiprocessing.get_context("spawn")
    return spawning.Process(target=serve, args=arguments, daemon=True)


def _answer(worker: _Worker, record: Record, descriptor: int | None) -> tuple[int, Batch]:
    serial = int(record["serial"])
    try:
        if "failed" in record:
            raise LoaderFault(f"{worker.name} failed: {record['failed']}", "failed")
        batch = received(record, descriptor, worker.inbox)
    except (OSError, ValueError) as error:
        said = f"{worker.name}: its batch cannot be taken over ({visible(error)})"
        raise LoaderFault(said, "failed") from error
    worker.asked.discard(serial)
    return serial, batch


def _death(worker: _Worker) -> LoaderFault:
    worker.process.join(DEATH_SECONDS)
    status = worker.process.exitcode
    if status is None:
        how = "closed its connection"
    elif status < 0:
        how = _killed(-status)
    else:
        how = f"left with status {status}"
    return LoaderFault(f"{worker.name} {how}", "died", worker.board.place().sample_id)


def _killed(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"was killed by {name}{_GUESSES.get(name, '')}"

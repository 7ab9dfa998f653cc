"""What a worker does: it reads the batches it is asked for, and shows what it is at."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ecotui.engine.data import memory_file
from ecotui.engine.data.channel import Channel, Record
from ecotui.engine.data.dataset import Batch, Failure, PhotoDataset, collate
from ecotui.engine.data.post import Inbox, Outbox
from ecotui.engine.data.sampler import Key
from ecotui.engine.data.workers import prepare_worker
from ecotui.text import visible

_PLACE = struct.Struct("=qq")
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is.

    Attributes:
        moves: Samples that it has begun so far; 0 before its first.
        sample_id: The one it is at; None between batches.
    """

    moves: int
    sample_id: int | None


class Board:
    """A few bytes of shared memory on which a worker shows its place, also after its death.

    Args:
        descriptor: Of a memory file; may be closed afterwards.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _PLACE.size)

    @classmethod
    def create(cls) -> tuple[Board, int]:
        """Return a fresh one and its descriptor, which is the caller's to close.

        Raises:
            OSError: No room, or too many open files.
        """
        descriptor = memory_file.create()
        os.write(descriptor, _PLACE.pack(0, _NOWHERE))
        return cls(descriptor), descriptor

    def show(self, moves: int, sample_id: int | None) -> None:
        """Write down where this worker is."""
        _PLACE.pack_into(self._memory, 0, moves, _NOWHERE if sample_id is None else sample_id)

    def place(self) -> Place:
        """Return where the worker is, or was when it died."""
        moves, sample_id = _PLACE.unpack_from(self._memory)
        return Place(moves, None if sample_id == _NOWHERE else sample_id)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


def serve(end: socket.socket, dataset: PhotoDataset, engine_pid: int) -> None:
    """Read batches until the engine wants no more; the whole life of a worker process.

    Args:
        end: Of the connection to the engine.
        dataset: What is read.
        engine_pid: Of the process that started this one.
    """
    prepare_worker(engine_pid)
    Inbox.close_inherited()
    channel = Channel(end, is_patient=True)
    reader, outbox = Reader(dataset), Outbox()
    while True:
        try:
            asked = channel.receive()
        except EOFError:
            outbox.close()
            return
        for record, descriptor in asked:
            if descriptor is not None:
                reader.board = Board(descriptor)
                os.close(descriptor)
            elif "leave_out" in record:
                dataset.leave_out(*record["leave_out"])
            else:
                outbox.take_back(record["emptied"])
                _answer(channel, reader, outbox, record)


class Reader:
    """Reads batches of a data set, showing each sample as it is begun.

    Args:
        dataset: What is read.
    """

    def __init__(self, dataset: PhotoDataset) -> None:
        self._dataset = dataset
        self._moves = 0
        self.board: Board | None = None

    def read(self, keys: Sequence[Key]) -> Batch:
        """Return a batch."""
        items = []
        for key in keys:
            self._moves += 1
            self._show(key[1])
            items.append(self._dataset[key])
        batch = collate(items)
        self._show(None)
        return batch

    def _show(self, sample_id: int | None) -> None:
        if self.board is not None:
            self.board.show(self._moves, sample_id)


def _answer(channel: Channel, reader: Reader, outbox: Outbox, asked: Record) -> None:
    file, descriptor = None, None
    try:
        batch = reader.read([(epoch, sample_id) for epoch, sample_id in asked["keys"]])
        if batch.images_BCHW.numel():
            file, descriptor = outbox.put(batch.images_BCHW)
        answer = {"file": file, **_described(batch)}
    except Exception as error:
        traceback.print_exc()
        answer = {"failed": visible(f"{type(error).__name__}: {error}", limit=300)}
    channel.send({"serial": asked["serial"], **answer}, descriptor)


def _described(batch: Batch) -> Record:
    return {
        "shape": list(batch.images_BCHW.shape),
        "is_float": batch.images_BCHW.dtype == torch.float32,
        "labels": batch.labels_B.tolist(),
        "ids": list(batch.sample_ids),
        "replaced": batch.num_replaced,
        "failures": [[failure.sample_id, failure.reason] for failure in batch.failures],
    }


def received(record: Record, descriptor: int | None, inbox: Inbox) -> Batch:
    """Return the batch that a worker has read; runs in the engine.

    Args:
        record: The worker's answer.
        descriptor: Of the memory file with the images, where it came with the answer.
        inbox: For the images of this worker.

    Raises:
        OSError: The images cannot be read.
        ValueError: Nor are they whole.
    """
    shape = record["shape"]
    dtype = torch.float32 if record["is_float"] else torch.uint8
    if record["file"] is None:
        images = torch.empty(shape, dtype=dtype)
    else:
        images = inbox.take(record["file"], descriptor, shape, dtype)
    return Batch(
        images_BCHW=images,
        labels_B=torch.tensor(record["labels"], dtype=torch.int64),
        sample_ids=tuple(record["ids"]),
        failures=tuple(Failure(sample_id, reason) for sample_id, reason in record["failures"]),
        num_replaced=record["replaced"],
    )

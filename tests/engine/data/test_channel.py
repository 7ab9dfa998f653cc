"""Records arrive whole and in order, with their files, however they are cut on the way."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.data import memory_file
from ecotui.engine.data.channel import Channel, Record

Ends = tuple[Channel, Channel]


def pair() -> Ends:
    engine, worker = socket.socketpair()
    return Channel(engine, is_patient=False), Channel(worker, is_patient=True)


@pytest.fixture
def ends() -> Iterator[Ends]:
    engine, worker = pair()
    yield engine, worker
    engine.close()
    worker.close()


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=8))
def test_records_come_as_they_were_sent(records: list[dict[str, int | str]]) -> None:
    engine, worker = pair()
    for record in records:
        worker.send(record)
    seen: list[Record] = []
    while len(seen) < len(records):
        seen += [record for record, _ in engine.receive()]
    engine.close()
    worker.close()
    assert seen == records


def test_nothing_there_is_nothing_and_a_closed_end_is_an_end(ends: Ends) -> None:
    engine, worker = ends
    assert engine.receive() == []
    worker.close()
    with pytest.raises(EOFError):
        engine.receive()


def test_a_record_larger_than_the_socket_waits_without_blocking(ends: Ends) -> None:
    engine, worker = ends
    large = {"keys": list(range(200_000))}
    engine.send(large)
    assert engine.has_unsent
    found: list[tuple[Record, int | None]] = []
    while not found:
        engine.flush()
        found = worker.receive()
    assert found == [(large, None)]
    assert not engine.has_unsent


def test_half_a_record_blocks_nobody() -> None:
    """What a worker leaves behind that is stopped or killed amid its answer."""
    ours, theirs = socket.socketpair()
    engine = Channel(ours, is_patient=False)
    theirs.sendall(b"\0\0\0\x05\0\0")
    assert engine.receive() == []
    assert engine.receive() == []
    theirs.close()
    with pytest.raises(EOFError):
        engine.receive()
    engine.close()


def test_each_record_keeps_its_own_file(ends: Ends) -> None:
    engine, worker = ends
    images = [torch.randn(2, 3, 4, 4) for _ in range(5)]
    for number, image in enumerate(images):
        descriptor = memory_file.create()
        memory_file.write(descriptor, image)
        worker.send({"number": number}, descriptor)
        worker.send({"number": -1})
        os.close(descriptor)
    seen: list[tuple[Record, int | None]] = []
    while len(seen) < 10:
        seen += engine.receive()
    for record, received in seen:
        assert (received is None) == (record["number"] < 0)
        if received is not None:
            loaded = memory_file.read(received, (2, 3, 4, 4), torch.float32)
            assert loaded.equal(images[record["number"]])
            os.close(received)


def test_what_nobody_took_is_closed(ends: Ends) -> None:
    engine, worker = ends
    before = len(os.listdir("/dev/fd"))
    descriptor = memory_file.create()
    worker.send({"number": 1}, descriptor)
    os.close(descriptor)
    engine._whole = list  # type: ignore[method-assign]  # the rest of the record never came
    engine.receive()
    engine.close()
    assert len(os.listdir("/dev/fd")) == before - 1


def test_a_file_that_was_lost_for_want_of_descriptors_is_told(ends: Ends) -> None:
    engine, worker = ends
    file = memory_file.create()
    worker.send({"file": 1}, file)
    os.close(file)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(OSError, match="too many open files"):
            engine.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

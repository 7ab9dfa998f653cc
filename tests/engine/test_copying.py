"""Copies to a CUDA device go on beside the computing; what computes waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from ecotui.engine import compute, copying
from ecotui.engine.copying import copied_aside
from tests.engine.test_heap import PLAIN

DEVICE = "meta"
"""Stands for a GPU: tensors can be copied there, and hold nothing."""


class Streams:
    """Stands for the streams of a device, and keeps what is asked of them, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.num_events = 0
        self.current = Stream("computing", self)
        copy = torch.Tensor.to

        def to(tensor: torch.Tensor, device: str, *, non_blocking: bool) -> torch.Tensor:
            self.calls.append(f"copy on {self.current.name}, blocking: {not non_blocking}")
            return copy(tensor, device)

        def record_stream(_: torch.Tensor, stream: Stream) -> None:
            self.calls.append(f"memory kept for {stream.name}")

        monkeypatch.setattr(torch.Tensor, "to", to)
        monkeypatch.setattr(torch.Tensor, "record_stream", record_stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: self.current)
        monkeypatch.setattr(torch.cuda, "Stream", self.make)
        monkeypatch.setattr(torch.cuda, "stream", self.use)
        monkeypatch.setattr(torch.cuda, "Event", self.event)

    def make(self, device: str) -> Stream:
        self.calls.append(f"stream made on {device}")
        return Stream("aside", self)

    def event(self) -> Event:
        self.num_events += 1
        return Event(self.num_events, self)

    @contextlib.contextmanager
    def use(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


class Stream:
    """Stands for one."""

    def __init__(self, name: str, streams: Streams) -> None:
        self.name = name
        self._streams = streams

    def wait_stream(self, other: Stream) -> None:
        self._streams.calls.append(f"{self.name} waits for {other.name}")


class Event:
    """Stands for one."""

    def __init__(self, number: int, streams: Streams) -> None:
        self._number, self._streams = number, streams

    def record(self, stream: Stream) -> None:
        self._streams.calls.append(f"event {self._number} on {stream.name}")

    def synchronize(self) -> None:
        self._streams.calls.append(f"host waits for event {self._number}")


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    kept = (copying._aside, copying._waiting)
    for each in kept:
        each.cache_clear()
    yield Streams(monkeypatch)
    for each in kept:
        each.cache_clear()


def test_a_copy_runs_beside_the_computing_which_waits_for_it(streams: Streams) -> None:
    images_BCHW = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    there = copied_aside(images_BCHW, DEVICE)
    assert (there.shape, there.dtype, there.device.type) == ((2, 3, 4, 4), torch.uint8, DEVICE)
    assert streams.calls == [
        f"stream made on {DEVICE}",
        "event 1 on computing",
        "copy on aside, blocking: False",
        "computing waits for aside",
        "memory kept for computing",
    ]
    assert streams.current.name == "computing"


def test_all_copies_to_a_device_share_a_stream_and_the_host_does_not_run_far_ahead(
    streams: Streams,
) -> None:
    waits: list[list[str]] = []
    for _ in range(copying.AHEAD + 3):
        del streams.calls[:]
        copied_aside(torch.zeros(2, 3, 4, 4), DEVICE)
        copied = streams.calls.index("copy on aside, blocking: False")
        waits.append([each for each in streams.calls[:copied] if "host waits" in each])
        assert (f"stream made on {DEVICE}" in streams.calls) == (len(waits) == 1)
    # Before the third copy after one was sent, all before that one has been computed.
    events = [[f"host waits for event {number}"] for number in (1, 2, 3)]
    assert waits == [[]] * copying.AHEAD + events


def nothing(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(shape, device=device, dtype=dtype)


@pytest.mark.parametrize(
    ("shape", "device", "dtype", "is_free", "is_aside"),
    [
        ((2, 3, 4, 4), "cpu", torch.uint8, True, True),
        ((2, 3, 4, 4), "cpu", torch.float32, True, True),
        ((2, 3, 4, 4), "cpu", torch.uint8, False, False),
        ((2,), "cpu", torch.int64, True, False),
        ((2, 3, 4, 4), "meta", torch.float32, True, False),  # stands for one on the device
    ],
)
def test_images_are_copied_so_where_copies_need_not_block(
    shape: tuple[int, ...],
    device: str,
    dtype: torch.dtype,
    is_free: bool,
    is_aside: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied: list[str] = []

    def record(tensor: torch.Tensor, device: str) -> torch.Tensor:
        copied.append(device)
        return tensor

    monkeypatch.setattr(compute, "copied_aside", record)
    there = replace(PLAIN, device=device, non_blocking=is_free).to_device(
        nothing(shape, device, dtype)
    )
    assert copied == ([device] if is_aside else [])
    assert there.shape == shape


def test_a_copy_that_is_there_takes_the_memory_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "copied_aside", lambda tensor, _: tensor)
    wanted = replace(PLAIN, channels_last=True, non_blocking=True)
    for dtype in (torch.uint8, torch.float32):
        there = wanted.to_device(torch.zeros(2, 3, 4, 4, dtype=dtype))
        assert there.is_contiguous(memory_format=torch.channels_last)

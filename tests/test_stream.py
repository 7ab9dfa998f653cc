"""The log survives torn lines, strangers, full disks, threads and resumption."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui import stream
from ecotui.ballast import BALLAST_BYTES
from ecotui.events import (
    CheckpointSaved,
    EngineStarted,
    Event,
    Heartbeat,
    LogWritten,
    RunStopped,
    StepsTaken,
)
from ecotui.stream import EventWriter, Tail, decode

NAN = float("nan")
SAVED = CheckpointSaved(
    path="checkpoints/x", epoch=0, step=1, num_bytes=1, seconds=0.1, reason="interval"
)


def remark(message: str = "hello") -> LogWritten:
    return LogWritten(severity="note", message=message)


def steps(loss: float | None) -> StepsTaken:
    return StepsTaken(
        epoch=1,
        step=1,
        step_in_epoch=1,
        num_steps=1,
        loss=loss,
        accuracy=None,
        gradient_norm=float("inf"),
        learning_rate=0.1,
        images_per_second=None,
        loader_wait_fraction=None,
    )


def write(path: Path, *events: Event) -> None:
    writer = EventWriter(path)
    for event in events:
        writer(event)
    writer.close()


def read_all(tail: Tail, *, limit: int = 262_144) -> list[Event]:
    found: list[Event] = []
    while True:
        before = tail.offset
        found += [event for _, event in tail.read(limit=limit)]
        if tail.offset == before:
            return found


def messages(path: Path) -> list[str]:
    events = read_all(Tail(path))
    return [event.message for event in events if isinstance(event, LogWritten)]


def seqs(path: Path) -> list[int]:
    return [event.seq for event in read_all(Tail(path))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_an_event_is_stamped_with_seq_and_both_clocks(path: Path) -> None:
    monotonic = iter([100.0, 100.5, 102.0])
    writer = EventWriter(path, wall_clock=lambda: 7.0, monotonic_clock=lambda: next(monotonic))
    writer(remark())
    writer(remark())
    writer.close()
    events = read_all(Tail(path))
    assert [(event.seq, event.at, event.since_start) for event in events] == [
        (1, 7.0, 0.5),
        (2, 7.0, 2.0),
    ]


def test_each_event_is_one_line_of_json(path: Path) -> None:
    write(path, remark("a\nb\u2028c"), remark())
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["kind"] for line in lines] == ["log_written"] * 2


def test_a_number_that_is_not_finite_travels_as_null_and_its_name(path: Path) -> None:
    write(path, steps(NAN))
    assert b"NaN" not in path.read_bytes()
    (event,) = read_all(Tail(path))
    assert isinstance(event, StepsTaken)
    assert event.loss is None
    assert event.accuracy is None
    assert set(event.nonfinite) == {"loss", "gradient_norm"}


def test_a_subclass_of_float_that_is_not_finite_travels_too() -> None:
    class Measured(float):
        pass

    event = steps(Measured("nan"))
    assert event.loss is None
    assert "loss" in event.nonfinite


def test_seq_goes_on_after_reopening(path: Path) -> None:
    write(path, remark(), remark())
    write(path, remark())
    assert seqs(path) == [1, 2, 3]


def test_a_torn_last_line_is_cut_off_on_reopening(path: Path) -> None:
    write(path, remark("one"), remark("two"))
    path.write_bytes(path.read_bytes()[:-5])
    write(path, remark("three"))
    assert messages(path) == ["one", "three"]
    assert seqs(path) == [1, 2]


def test_a_log_of_nothing_but_a_torn_line_starts_afresh(path: Path) -> None:
    path.write_bytes(b'{"kind": "log_')
    write(path, remark())
    assert seqs(path) == [1]


def test_seq_goes_on_after_a_kind_from_a_later_version(path: Path) -> None:
    write(path, remark())
    with path.open("ab") as file:
        file.write(b'{"kind": "sang", "seq": 2}\nnot json\n' + b"[" * 100_000 + b"\n[1]\n")
    write(path, remark())
    assert seqs(path) == [1, 3]


def test_seq_is_found_far_from_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MEND_WINDOW_BYTES", 16)
    write(path, remark("x" * 500), remark("y" * 500))
    with path.open("ab") as file:
        file.write(b"z" * 300 + b"\n" + b"torn" * 100)
    write(path, remark())
    assert seqs(path) == [1, 2, 3]


def test_unknown_kinds_and_garbage_are_counted_and_passed_over(path: Path) -> None:
    write(path, remark("one"))
    with path.open("ab") as file:
        file.write(b'{"kind":"sang"}\n\xff\xfe\n{}\n\n' + b"[" * 100_000 + b"\n")
    write(path, remark("two"))
    tail = Tail(path)
    assert [event.seq for event in read_all(tail)] == [1, 2]
    assert tail.num_unknown == 4


def test_fields_of_a_later_version_are_ignored() -> None:
    event = decode(b'{"kind":"checkpoint_dropped","path":"a","mood":"fine","seq":4}')
    assert event is not None
    assert event.seq == 4


def test_a_reader_waits_for_the_end_of_a_torn_line(path: Path) -> None:
    write(path, remark("one"), remark("two"))
    raw = path.read_bytes()
    tail = Tail(path)
    path.write_bytes(raw[:-5])
    assert len(tail.read()) == 1
    assert tail.read() == []
    path.write_bytes(raw)
    assert len(tail.read()) == 1
    assert tail.num_unknown == 0


def test_a_reader_that_saw_a_torn_line_follows_the_resumed_run(path: Path) -> None:
    write(path, remark("one"), remark("two"))
    path.write_bytes(path.read_bytes()[:-5])
    tail = Tail(path)
    assert len(tail.read()) == 1
    write(path, remark("a line that is longer than the torn one was"))
    ((_, event),) = tail.read()
    assert isinstance(event, LogWritten)
    assert event.message.startswith("a line")
    assert tail.num_unknown == 0


def test_a_reader_can_be_there_before_the_file(path: Path) -> None:
    tail = Tail(path)
    assert tail.read() == []
    write(path, remark())
    assert len(tail.read()) == 1


def test_a_bite_is_bounded_and_the_offset_lies_at_a_line(path: Path) -> None:
    write(path, *[remark("x" * 100)] * 50)
    tail = Tail(path)
    size = len(path.read_bytes()) // 50
    first = tail.read(limit=3 * size)
    assert 0 < len(first) <= 3
    assert tail.offset == sum(len(line) + 1 for line, _ in first)
    later = Tail(path, offset=tail.offset)
    assert len(first) + len(read_all(later, limit=3 * size)) == 50


def test_a_line_longer_than_a_bite_is_read_whole(path: Path) -> None:
    write(path, remark("x" * 1_000), remark("y"))
    assert len(read_all(Tail(path), limit=10)) == 2


def test_an_endless_line_is_passed_over_in_bounded_bites(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_LINE_BYTES", 1_000)
    path.write_bytes(b"x" * 5_000 + b"\n")
    write(path, remark("after"))
    tail = Tail(path)
    assert [event.kind for event in read_all(tail, limit=100)] == ["log_written"]
    assert tail.num_unknown == 1


@given(
    pieces=st.lists(
        st.sampled_from([b'{"kind":"heartbeat","step":1,"seconds_since_progress":0.0}', b"?", b""]),
        max_size=12,
    ),
    limit=st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_any_bite_gives_the_same_events(pieces: list[bytes], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(b"".join(piece + b"\n" for piece in pieces) + b'{"torn')
        tail = Tail(path)
        assert len(read_all(tail, limit=limit)) == sum(len(piece) > 1 for piece in pieces)
        assert tail.num_unknown == pieces.count(b"?")
        assert tail.offset == path.stat().st_size - 6


def test_threads_that_write_at_once_leave_no_gap(path: Path) -> None:
    writer = EventWriter(path)

    def write_some() -> None:
        for _ in range(100):
            writer(Heartbeat(step=1, seconds_since_progress=0.0))

    threads = [threading.Thread(target=write_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert seqs(path) == list(range(1, 801))


def test_a_full_disk_leaves_no_half_line_and_no_gap(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(path)
    writer(remark("one"))
    real_write = os.write
    with monkeypatch.context() as patch:
        calls: list[int] = []

        def write_half(descriptor: int, data: bytes) -> int:
            calls.append(len(data))
            if len(calls) > 1:
                raise OSError(28, "No space left on device")
            return real_write(descriptor, data[: len(data) // 2])

        patch.setattr("ecotui.disk.os.write", write_half)
        writer(remark("two"))
        assert messages(path) == ["one"]
        assert path.read_bytes().endswith(b"\n")
    writer(remark("three"))
    writer.close()
    assert messages(path) == ["one", "two", "three"]
    assert seqs(path) == [1, 2, 3]


def test_reports_of_progress_are_dropped_counted_and_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(path)
    writer(remark("one"))
    with monkeypatch.context() as patch:

        def refuse(descriptor: int, data: bytes) -> int:
            raise OSError(122, "Disk quota exceeded")

        patch.setattr("ecotui.disk.os.write", refuse)
        for step in range(5):
            writer(Heartbeat(step=step, seconds_since_progress=0.0))
        writer(remark("two"))
    writer(Heartbeat(step=9, seconds_since_progress=0.0))
    writer(remark("three"))
    writer.close()
    told = messages(path)
    assert (told[0], told[1], told[3]) == ("one", "two", "three")
    assert told[2].startswith("5 reports of progress are missing")
    assert seqs(path) == [1, 2, 3, 4, 5]


def test_half_a_line_that_could_not_be_cut_off_is_cut_off_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(path)
    writer(remark("one"))
    real_write = os.write
    with monkeypatch.context() as patch:

        def write_half(descriptor: int, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(5, "Input/output error")
            return real_write(descriptor, data[: len(data) // 2])

        def refuse(descriptor: int, size: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr("ecotui.disk.os.write", write_half)
        patch.setattr("ecotui.disk.os.ftruncate", refuse)
        writer(remark("two"))
        assert not path.read_bytes().endswith(b"\n")
    writer(remark("three"))
    writer.close()
    assert messages(path) == ["one", "two", "three"]


def test_ballast_is_given_up_for_what_must_be_told_and_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = path.with_name(".ballast")
    now = [0.0]
    writer = EventWriter(path, ballast_path=place)
    assert writer._ballast is not None
    writer._ballast._clock = lambda: now[0]
    assert place.stat().st_size == BALLAST_BYTES
    real_write = os.write
    with monkeypatch.context() as patch:

        def write_where_there_is_room(descriptor: int, data: bytes) -> int:
            if place.exists():
                raise OSError(28, "No space left on device")
            return real_write(descriptor, data)

        patch.setattr("ecotui.disk.os.write", write_where_there_is_room)
        writer(Heartbeat(step=1, seconds_since_progress=0.0))
        assert place.exists()  # not for a report of progress
        writer(remark("saving failed"))
        assert not place.exists()
    assert "saving failed" in messages(path)
    writer(remark())
    assert not place.exists()
    now[0] += 60.0
    writer(remark())
    assert place.exists()
    writer(RunStopped(reason="asked", epoch=1, step=1, checkpoint=None))
    assert not place.exists()


def test_a_closed_writer_never_writes_into_somebody_elses_file(path: Path, tmp_path: Path) -> None:
    writer = EventWriter(path)
    writer.close()
    writer.close()
    with (tmp_path / "other").open("wb") as other:
        with pytest.raises(OSError, match="Bad file descriptor"):
            writer(remark())
        assert other.tell() == 0
    assert (tmp_path / "other").read_bytes() == b""


def test_the_end_of_a_run_is_flushed_to_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr("ecotui.stream.os.fsync", flushed.append)
    write(path, remark())
    assert flushed == []
    write(path, SAVED)
    assert len(flushed) == 1
    write(path, RunStopped(reason="asked", epoch=1, step=1, checkpoint=None))
    assert len(flushed) == 2


def test_the_written_log_can_be_folded_from_the_start(path: Path) -> None:
    first = EngineStarted(run_id="a", pid=1, host="h", version="0")
    write(path, first)
    (event,) = read_all(Tail(path))
    assert event.model_copy(update={"seq": 0, "at": 0.0, "since_start": 0.0}) == first

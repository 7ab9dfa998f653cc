"""Logs of any length: what goes in comes out, in bounded room."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.log_lines import (
    BITE_BYTES,
    LINES_A_BLOCK,
    MAX_FILE_LINE_BYTES,
    FileLines,
    Mapped,
    PackedLines,
)


@given(st.lists(st.text(st.characters(exclude_characters="\n")), max_size=20), st.integers(1, 40))
def test_packed_lines_come_out_as_they_went_in(few: list[str], times: int) -> None:
    lines, every = PackedLines(), few * times
    for line in every:
        lines.add(line)
    assert len(lines) == len(every)
    assert [lines.line(index) for index in range(len(lines))] == every


def test_a_line_feed_cannot_make_two_lines_of_one() -> None:
    lines = PackedLines()
    for _ in range(LINES_A_BLOCK + 1):
        lines.add("one\ntwo\udcff")
    assert len(lines) == LINES_A_BLOCK + 1
    assert {lines.line(index) for index in range(len(lines))} == {"one two\udcff"}


@pytest.mark.parametrize("index", [-1, 3, 10_000])
def test_there_is_no_line_before_the_first_or_after_the_last(index: int, tmp_path: Path) -> None:
    packed, path = PackedLines(), tmp_path / "log"
    path.write_text("a\nb\nc\n")
    in_file = FileLines(path)
    in_file.look()
    for line in "abc":
        packed.add(line)
    for lines in (packed, in_file):
        assert len(lines) == 3
        with pytest.raises(IndexError):
            lines.line(index)


def test_the_oldest_block_goes_when_there_are_too_many() -> None:
    lines = PackedLines(most=2 * LINES_A_BLOCK)
    for number in range(3 * LINES_A_BLOCK + 5):
        lines.add(str(number))
    assert len(lines) <= 2 * LINES_A_BLOCK
    assert lines.num_dropped == 2 * LINES_A_BLOCK
    assert len(lines) == LINES_A_BLOCK + 5
    assert lines.line(0) == str(lines.num_dropped)
    assert lines.line(len(lines) - 1) == str(3 * LINES_A_BLOCK + 4)


def test_packing_takes_a_tenth_of_the_room() -> None:
    line = '{"kind":"health_alerted","severity":"warning","what":"batch skipped","step":%d}'
    lines = PackedLines()
    for number in range(10 * LINES_A_BLOCK):
        lines.add(line % number)
    packed = sum(map(len, lines._blocks))
    assert packed < len(line) * 10 * LINES_A_BLOCK / 5


def test_clearing_leaves_nothing() -> None:
    lines = PackedLines()
    for number in range(LINES_A_BLOCK + 1):
        lines.add(str(number))
    lines.line(0)
    lines.clear()
    assert len(lines) == 0
    lines.add("new")
    assert lines.line(0) == "new"


def test_a_file_is_read_as_it_grows_and_its_torn_end_waits(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    lines = FileLines(path)
    assert not lines.look()
    assert len(lines) == 0
    path.write_bytes(b"one\r\ntwo\ntor")
    lines.look()
    assert [lines.line(index) for index in range(len(lines))] == ["one", "two"]
    with path.open("ab") as file:
        file.write(b"n\n\xff\n")
    lines.look()
    assert [lines.line(index) for index in (2, 3)] == ["torn", "\ufffd"]


def test_a_large_file_is_looked_through_by_the_bite(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(b"x" * 99 + b"\n")
    with path.open("ab") as file:
        file.write((b"y" * 99 + b"\n") * (BITE_BYTES // 100 + 10))
    lines = FileLines(path)
    assert lines.look()
    assert not lines.look()
    assert len(lines) == BITE_BYTES // 100 + 11
    assert lines.line(len(lines) - 1) == "y" * 99


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(b"z" * (3 * MAX_FILE_LINE_BYTES) + b"\nend\n")
    lines = FileLines(path)
    lines.look()
    assert len(lines.line(0)) == MAX_FILE_LINE_BYTES
    assert lines.line(1) == "end"


def test_a_file_that_goes_away_leaves_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_text("one\n")
    lines = FileLines(path)
    lines.look()
    path.unlink()
    assert lines.line(0) == ""
    assert not lines.look()


def test_mapped_lines_are_worded_as_they_are_looked_at() -> None:
    source = PackedLines()
    mapped = Mapped(source, str.upper)
    source.add("a")
    assert len(mapped) == 1
    assert mapped.line(0) == "A"

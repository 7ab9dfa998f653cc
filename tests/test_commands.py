"""Requests reach the engine whole and once, whatever else stands in the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui import commands
from ecotui.commands import (
    MAX_LINE_BYTES,
    Command,
    DetachRun,
    SaveCheckpoint,
    StopRun,
    append_command,
    read_commands,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commands.jsonl"


def read_all(path: Path, offset: int = 0) -> list[Command]:
    found: list[Command] = []
    while True:
        some, following = read_commands(path, offset)
        found += some
        if following == offset:
            return found
        offset = following


def test_a_command_is_read_once_and_as_it_was_asked(path: Path) -> None:
    asked: list[Command] = [StopRun(reason="enough"), SaveCheckpoint(), DetachRun()]
    for command in asked:
        append_command(path, command)
    found, offset = read_commands(path, 0)
    assert found == asked
    assert offset == path.stat().st_size
    assert read_commands(path, offset) == ([], offset)
    append_command(path, SaveCheckpoint(id="later"))
    found, _ = read_commands(path, offset)
    assert [command.id for command in found] == ["later"]


def test_commands_have_ids_of_their_own() -> None:
    assert StopRun().id != StopRun().id


def test_a_file_that_is_not_there_holds_no_commands(path: Path) -> None:
    assert read_commands(path, 0) == ([], 0)
    assert read_commands(path, 7) == ([], 7)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"{}",
        b'{"kind": "dance"}',
        b'{"kind": "stop_run", "reason": 5}',
        b'{"kind": "stop_run", "extra": 1}',
        b'{"kind": "stop_run", "reason": "' + b"x" * 201 + b'"}',
        b"[" * 60_000,
        b'{"kind": "stop_run", "id": "' + b"x" * 65 + b'"}',
    ],
)
def test_garbage_is_passed_over(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage + b"\n")
    append_command(path, SaveCheckpoint(id="good"))
    assert [command.id for command in read_all(path)] == ["good"]


def test_a_huge_line_is_passed_over_in_bounded_bites(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_BITE_BYTES", 100_000)
    hidden = json.dumps({"kind": "stop_run", "id": "hidden"}).encode()
    path.write_bytes(b" " * 100_000 + hidden + b"\n")
    append_command(path, SaveCheckpoint(id="good"))
    assert [command.id for command in read_all(path)] == ["good"]


def test_a_line_just_too_long_is_no_command(path: Path) -> None:
    line = SaveCheckpoint(id="long").model_dump_json().encode()
    path.write_bytes(b" " * (MAX_LINE_BYTES + 1 - len(line)) + line + b"\n")
    assert read_all(path) == []
    path.write_bytes(b" " * (MAX_LINE_BYTES - len(line)) + line + b"\n")
    assert len(read_all(path)) == 1


def test_a_torn_line_waits_for_its_end(path: Path) -> None:
    line = SaveCheckpoint(id="slow").model_dump_json().encode()
    path.write_bytes(line[:10])
    assert read_commands(path, 0) == ([], 0)
    path.write_bytes(line + b"\n")
    assert [command.id for command in read_all(path)] == ["slow"]


def test_a_command_after_a_torn_one_is_not_lost(path: Path) -> None:
    path.write_bytes(b'{"kind": "stop_')
    append_command(path, SaveCheckpoint(id="good"))
    assert [command.id for command in read_all(path)] == ["good"]


def test_an_offset_inside_a_line_skips_its_rest(path: Path) -> None:
    append_command(path, SaveCheckpoint(id="one"))
    append_command(path, SaveCheckpoint(id="two"))
    assert [command.id for command in read_all(path, offset=5)] == ["two"]


def test_an_offset_beyond_the_end_stays(path: Path) -> None:
    append_command(path, SaveCheckpoint())
    assert read_commands(path, 10_000) == ([], 10_000)


@given(
    st.lists(st.sampled_from(["good", "?", ""]), max_size=20),
    st.lists(st.integers(1, 120), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_however_the_file_grows_each_command_is_read_once(
    lines: list[str], cuts: list[int]
) -> None:
    whole = b"".join(
        (SaveCheckpoint(id=f"{count}").model_dump_json() if line == "good" else line).encode()
        + b"\n"
        for count, line in enumerate(lines)
    )
    offset, size, seen = 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "commands.jsonl"
        for cut in [*cuts, len(whole)]:
            size = min(len(whole), size + cut)
            path.write_bytes(whole[:size])
            some, offset = read_commands(path, offset)
            seen += [int(command.id) for command in some]
    assert seen == [count for count, line in enumerate(lines) if line == "good"]
    assert offset == len(whole)

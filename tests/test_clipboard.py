"""Where a copied text goes: to tmux, to the terminal, or into a file, and what is said of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ecotui.clipboard import MAX_TERMINAL_BYTES, copy
from ecotui.errors import EcoError

XTERM = {"TERM": "xterm-256color", "PATH": os.environ["PATH"]}


@pytest.fixture
def sent() -> list[str]:
    return []


def tmux(folder: Path, status: int) -> dict[str, str]:
    """Return an environment with a tmux that keeps its arguments and what it is given."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    program = bin_folder / "tmux"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/argv"\ncat > "{folder}/given"\nexit {status}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {**XTERM, "TMUX": "/tmp/tmux-0/default,1,0", "PATH": f"{bin_folder}:{XTERM['PATH']}"}


def test_in_tmux_its_own_buffer_takes_it_with_no_shell_between(
    tmp_path: Path, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = tmux(tmp_path, 0)
    monkeypatch.setenv("PATH", environ["PATH"])
    text = "$(touch pwned) `id`\n'quoted'"
    copied = copy(text, send=sent.append, folder=tmp_path, environ=environ)
    assert copied.way == "tmux"
    assert (tmp_path / "given").read_text() == text
    assert (tmp_path / "argv").read_text().split() == ["load-buffer", "-w", "-"]
    assert sent == []


def test_where_tmux_refuses_it_goes_into_a_file_for_tmux_would_drop_the_sequence(
    tmp_path: Path, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = tmux(tmp_path, 1)
    monkeypatch.setenv("PATH", environ["PATH"])
    copied = copy("text", send=sent.append, folder=tmp_path, environ=environ)
    assert copied.way == "file"
    assert Path(copied.where).read_text() == "text"
    assert sent == []


def test_a_plain_terminal_is_asked_to_take_it(tmp_path: Path, sent: list[str]) -> None:
    copied = copy("text", send=sent.append, folder=tmp_path, environ=XTERM)
    assert copied.way == "terminal"
    assert "OSC 52" in copied.where
    assert sent == ["text"]


@pytest.mark.parametrize(
    "environ",
    [{"TERM": "linux"}, {"TERM": "screen.xterm"}, {"TERM": "vt100"}, {**XTERM, "STY": "1.pts"}],
)
def test_a_terminal_that_knows_no_such_thing_gets_a_file(
    environ: dict[str, str], tmp_path: Path, sent: list[str]
) -> None:
    copied = copy("text", send=sent.append, folder=tmp_path / "runs", environ=environ)
    assert copied.way == "file"
    assert Path(copied.where).parent == tmp_path / "runs" / ".copies"
    assert sent == []


def test_what_is_too_long_for_a_terminal_goes_into_a_file(tmp_path: Path, sent: list[str]) -> None:
    text = "é" * (MAX_TERMINAL_BYTES // 2 + 1)
    copied = copy(text, send=sent.append, folder=tmp_path, environ=XTERM)
    assert copied.way == "file"
    assert Path(copied.where).read_text(encoding="utf-8") == text


def test_where_nothing_takes_it_three_lines_say_so(tmp_path: Path, sent: list[str]) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(EcoError, match="cannot be copied"):
        copy("text", send=sent.append, folder=tmp_path / "runs", environ={"TERM": "linux"})

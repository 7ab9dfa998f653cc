"""A command's output is told harmless and without credentials, and it can always be ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.command import Teller, run_command, without_credentials

WORDS = st.text("abcdefgh0123", min_size=6, max_size=12)


def run(source: str, folder: Path, limit_seconds: float = 60.0) -> tuple[str, list[str]]:
    said: list[str] = []
    fault = run_command(
        [sys.executable, "-c", source],
        folder=folder,
        environ={},
        poll=lambda: None,
        say=said.append,
        limit_seconds=limit_seconds,
    )
    return fault, said


@given(user=WORDS, word=WORDS, token=WORDS)
def test_no_address_tells_a_password_or_a_token(user: str, word: str, token: str) -> None:
    line = (
        f"Looking in indexes: https://{user}:{word}@index.example/simple, "
        f"http://{token}@other.example/x?a=1&access_token={token}&b=2, http://plain.example/y"
    )
    told = without_credentials(line)
    assert "https://***@index.example/simple, http://***@other.example/x?a=1&" in told
    assert "b=2, http://plain.example/y" in told
    for secret in (f"{user}:", word, token):
        assert secret not in told


def test_text_without_addresses_is_left_as_it_is() -> None:
    line = "torch @ file:///x and me@example.com, a==1.0"
    assert without_credentials(line) == line


def test_what_it_prints_is_told_line_by_line_and_harmless(tmp_path: Path) -> None:
    fault, said = run(
        "import sys; print('one\\x1b[2J\\n\\n  two', flush=True); sys.stderr.write('50%\\r100%')",
        tmp_path,
    )
    assert fault == ""
    assert said == ["one\\e[2J", "  two", "50%", "100%"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sys; sys.exit('the reason')", "it left with status 1: the reason"),
        ("import os; os._exit(3)", "it left with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "it was killed by signal 9"),
        ("import time; time.sleep(60)", "it took longer than 0.5 s"),
        ("import os, time; os.close(1); os.close(2); time.sleep(60)", "it took longer than 0.5 s"),
    ],
)
def test_how_it_fails_is_told(tmp_path: Path, source: str, expected: str) -> None:
    limit = 0.5 if "longer" in expected else 60.0
    assert run(source, tmp_path, limit)[0] == expected


def test_a_program_that_is_not_there_is_a_failure_in_words(tmp_path: Path) -> None:
    fault = run_command(
        [str(tmp_path / "none")],
        folder=tmp_path,
        environ={},
        poll=lambda: None,
        say=lambda line: None,
        limit_seconds=1.0,
    )
    assert fault.startswith("it cannot be started: ")


def test_what_a_command_started_ends_with_it(tmp_path: Path) -> None:
    source = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(p.pid)"
    )
    began = time.monotonic()
    fault, said = run(source, tmp_path)
    assert (fault, time.monotonic() - began < 60) == ("", True)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{said[0]}").exists():
        if "State:\tZ" in Path(f"/proc/{said[0]}/status").read_text():
            break
        time.sleep(0.02)
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(int(said[0]), 0)


def test_of_a_flood_the_last_lines_are_told() -> None:
    said: list[str] = []
    teller = Teller(said.append, clock=lambda: 0.0)
    for number in range(1_000):
        teller.take(b"line %d\n" % number)
    teller.tell()
    assert said == [f"line {number}" for number in range(950, 960)]
    teller.tell()
    assert len(said) == 10
    teller.close()
    assert said[10] == "(950 lines left out)"
    assert said[-1] == teller.last == "line 999"


def test_a_line_without_an_end_fills_no_memory() -> None:
    said: list[str] = []
    teller = Teller(said.append)
    for _ in range(100):
        teller.take(b"x" * 60_000)
    teller.close()
    assert max(len(line) for line in said) <= 500
    assert len(teller._torn) <= 130_000

"""A Mac does not fall asleep while the engine works; the program that sees to it ends with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ecotui.engine.awake import kept_awake


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for caffeinate that writes down what it was asked for, and waits."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "caffeinate"
    lines = (
        "#!/bin/sh",
        f'echo "$$ $*" > {tmp_path}/new',
        f"mv {tmp_path}/new {tmp_path}/told",
        "exec sleep 600",
    )
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "told"


def wait_for(told: Path) -> list[str]:
    give_up = time.monotonic() + 20
    while not told.exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    return told.read_text().split()


def test_it_is_told_to_watch_this_process_and_is_gone_afterwards(program: Path) -> None:
    with kept_awake("darwin"):
        pid, *arguments = wait_for(program)
        os.kill(int(pid), 0)
    assert arguments == ["-i", "-w", str(os.getpid())]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_it_is_gone_after_a_failure_too(program: Path) -> None:
    def fail_awake() -> None:
        with kept_awake("darwin"):
            wait_for(program)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_awake()
    with pytest.raises(ProcessLookupError):
        os.kill(int(wait_for(program)[0]), 0)


def test_elsewhere_nothing_is_started(program: Path) -> None:
    with kept_awake("linux"):
        time.sleep(0.1)
    assert not program.exists()


def test_a_mac_without_the_program_trains_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with kept_awake("darwin"):
        pass

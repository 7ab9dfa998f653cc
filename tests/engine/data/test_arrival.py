"""A file that never comes is given up, and nothing else is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecotui.engine.data import decode
from ecotui.engine.data.arrival import reading_seconds


@pytest.fixture
def never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that whoever opens it waits for, as on a mount whose server is gone."""
    path = tmp_path / "never.png"
    path.write_bytes(b"x")
    release, real = threading.Event(), decode.open_regular

    def open_regular(asked: str | Path) -> int:
        if os.fspath(asked) == os.fspath(path):
            release.wait(30.0)
        return real(asked)

    monkeypatch.setattr(decode, "open_regular", open_regular)
    yield path
    release.set()


def test_a_file_that_never_comes_is_given_up_and_requests_are_looked_at(never: Path) -> None:
    polls: list[int] = []
    started = time.monotonic()
    assert reading_seconds(never, 0.5, lambda: polls.append(1)) is None
    assert 0.5 <= time.monotonic() - started < 10.0
    assert polls


def test_what_can_be_read_and_what_cannot_be_opened_has_come(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(b"x" * 3_000_000)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("there.png", "pipe.png", "absent.png"):
        took = reading_seconds(tmp_path / name, 20.0)
        assert took is not None
        assert took < 20.0

"""The lock tells who is alive, however the holder ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecotui.lock import AlreadyHeldError, Holder, acquire, is_held, read_holder

HOLD = """
import sys, time
from pathlib import Path
from ecotui.lock import acquire
lock = acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""

HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from ecotui.lock import acquire
lock = acquire(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
sys.stdin.read()
"""

RACE = """
import sys, time
from pathlib import Path
from ecotui.lock import AlreadyHeldError, acquire
sys.stdin.readline()
try:
    lock = acquire(Path(sys.argv[1]))
    print("won", flush=True)
    sys.stdin.read()
except AlreadyHeldError as error:
    print(error.holder.pid, error.holder.host, flush=True)
"""

HOLD_AND_TELL_LATE = """
import fcntl, json, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
time.sleep(0.1)
os.ftruncate(descriptor, 0)
os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": "h", "started_at": 1.0}).encode(), 0)
sys.stdin.read()
"""


@contextmanager
def process(source: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", source, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line)
    child.stdin.flush()


def test_a_lock_held_by_another_process_is_seen_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    with process(HOLD, path) as holder:
        assert first_line(holder) == "held"
        assert [is_held(path) for _ in range(3)] == [True] * 3
        with pytest.raises(AlreadyHeldError) as caught:
            acquire(path)
        assert caught.value.holder is not None
        assert caught.value.holder.pid == holder.pid
        assert caught.value.holder.host == socket.gethostname()
        assert is_held(path)
    assert not is_held(path)


def test_the_lock_is_free_after_the_holder_is_killed_though_its_child_lives(
    tmp_path: Path,
) -> None:
    path = tmp_path / "engine.lock"
    with process(HOLD_AND_FORK, path) as holder:
        forked = int(first_line(holder))
        try:
            assert is_held(path)
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            os.kill(forked, 0)
            assert not is_held(path)
            acquire(path).release()
        finally:
            os.kill(forked, signal.SIGKILL)


def test_of_two_that_race_one_wins_and_the_other_learns_who(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    path.write_text(json.dumps({"pid": 1, "host": "of an earlier attempt", "started_at": 0.0}))
    with process(RACE, path) as one, process(RACE, path) as other:
        tell(one, "go\n")
        tell(other, "go\n")
        said = {one.pid: first_line(one), other.pid: first_line(other)}
        assert sorted(said.values())[-1] == "won"
        winner = next(pid for pid, words in said.items() if words == "won")
        loser = next(pid for pid in said if pid != winner)
        assert said[loser] == f"{winner} {socket.gethostname()}"


def test_a_loser_waits_for_the_winner_to_say_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    path.write_text(json.dumps({"pid": 1, "host": "of an earlier attempt", "started_at": 0.0}))
    with process(HOLD_AND_TELL_LATE, path) as winner:
        assert first_line(winner) == "held"
        tell(winner, "go\n")
        with pytest.raises(AlreadyHeldError) as caught:
            acquire(path)
        assert caught.value.holder == Holder(winner.pid, "h", 1.0)


def test_the_holder_is_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    before = time.time()
    path.write_text("something longer that an earlier attempt left here" * 10)
    lock = acquire(path)
    holder = read_holder(path)
    lock.release()
    written = json.loads(path.read_bytes())
    assert written == {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": written["started_at"],
    }
    assert before <= written["started_at"] <= time.time()
    assert holder == Holder(**written)


def test_a_process_does_not_lose_its_own_lock_by_asking(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    lock = acquire(path)
    assert is_held(path)
    assert read_holder(path) is not None
    with pytest.raises(AlreadyHeldError):
        acquire(path)
    source = (
        "import sys\nfrom pathlib import Path\nfrom ecotui.lock import is_held\n"
        "print(is_held(Path(sys.argv[1])))"
    )
    with process(source, path) as asking:
        assert first_line(asking) == "True"
    lock.release()
    lock.release()
    assert not is_held(path)
    acquire(path).release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b'{"pid": "x", "host": 1, "started_at": null}',
        b"[" * 4096,
        b'{"pid": Infinity, "host": 1, "started_at": 0}',
    ],
)
def test_a_file_that_does_not_tell_has_no_holder(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "engine.lock"
    path.write_bytes(content)
    assert read_holder(path) is None
    assert not is_held(path)


def test_a_file_that_is_not_there_is_free(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "engine.lock")
    assert read_holder(tmp_path / "engine.lock") is None
    assert not (tmp_path / "engine.lock").exists()


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        acquire(tmp_path / "missing" / "engine.lock")

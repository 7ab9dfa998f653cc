"""Engines from outside: forked by the server or started afresh, signalled, awaited."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from ecotui.paths import RunDir
from tests.faults.server import ONE_THREAD

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
"""How long the server may take for its imports, and for a fork."""


class Engine(Protocol):
    """A process that trains."""

    pid: int

    def poll(self) -> int | None:
        """Return how it ended, None while it lives; the code is negative for a signal."""

    def wait(self, timeout: float) -> int:
        """Return how it ended; raises TimeoutError or TimeoutExpired."""


def send(engine: Engine, number: signal.Signals) -> bool:
    """Signal an engine and say whether it was still there."""
    if engine.poll() is not None:
        return False
    try:
        os.kill(engine.pid, number)
    except ProcessLookupError:
        return False
    return True


def start_fresh(run: RunDir, *arguments: str) -> subprocess.Popen[bytes]:
    """Start an engine as people's sessions do, in an interpreter of its own."""
    with run.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ecotui.engine", str(run.path), *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}


class Forked:
    """An engine that the server forked."""

    def __init__(self, server: EngineServer, pid: int) -> None:
        self._server = server
        self.pid = pid

    def poll(self) -> int | None:
        return self._server.statuses.get(self.pid)

    def wait(self, timeout: float) -> int:
        return self._server.await_end(self.pid, timeout)


class EngineServer:
    """The fork server, from the test's side. Use `close`, or as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.statuses: dict[int, int] = {}
        self._started: list[int] = []
        self._num_threads = 0
        self._news = threading.Condition()
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("server.py"))],
                env=_environment(),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._log = folder / "server.log"
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def await_ready(self) -> None:
        with self._news:
            ready = self._news.wait_for(lambda: self._num_threads > 0, START_SECONDS)
        assert ready, self._log.read_text()
        assert self._num_threads == 1, "the server has threads: its children may hang"

    def start(self, run: RunDir, *arguments: str, patches: tuple[str, ...] = ()) -> Forked:
        """Fork an engine for a run, made worse or easier by the patches named."""
        request = {"run": str(run.path), "arguments": arguments, "patches": patches}
        self.await_ready()
        pipe = self._process.stdin
        assert pipe is not None
        with self._news:
            count = len(self._started)
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
            came = self._news.wait_for(lambda: len(self._started) > count, START_SECONDS)
            assert came, self._log.read_text()
            return Forked(self, self._started[-1])

    def await_end(self, pid: int, timeout: float) -> int:
        with self._news:
            if not self._news.wait_for(lambda: pid in self.statuses, timeout):
                raise TimeoutError(f"engine {pid} has not ended within {timeout:g} s")
            return self.statuses[pid]

    def close(self) -> None:
        """End the server; it kills what it has forked."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
        self._process.stdin.close()  # type: ignore[union-attr]  # a pipe: see above
        self._process.wait(30)
        self._reader.join(30)
        self._process.stdout.close()  # type: ignore[union-attr]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._news:
                if "started" in message:
                    # A number can come again.
                    self.statuses.pop(message["started"], None)
                    self._started.append(message["started"])
                elif "ended" in message:
                    self.statuses[message["ended"]] = message["status"]
                else:
                    self._num_threads = message["ready"]
                self._news.notify_all()


def survivors_of(sessions: set[int], patience_seconds: float) -> set[int]:
    """Return the processes of these sessions that still live after so many seconds."""
    deadline = time.monotonic() + patience_seconds
    while (found := _members_of(sessions)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _members_of(sessions: set[int]) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) in sessions and fields[0] != "Z":
            found.add(int(entry.name))
    return found

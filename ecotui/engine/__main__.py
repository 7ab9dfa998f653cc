"""The child's door: lock, signals, first event; only then the heavy imports.

`python -m ecotui.engine RUN_DIR [--owner-pid PID]`. Its output goes to
`engine.log`; what it has to say to people goes into `events.jsonl`.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ecotui import __version__, lock
from ecotui.commands import StopRun, read_commands
from ecotui.engine.control import Control, Progress, StopFlag
from ecotui.engine.raw_log import forgive_full_disks
from ecotui.errors import ExitCode
from ecotui.events import EngineStarted, Heartbeat
from ecotui.paths import RunDir
from ecotui.stream import EventWriter

HEARTBEAT_SECONDS = 5.0


def main() -> int:
    """Hold the lock of a run directory, do its job, and return the exit code."""
    arguments = _parse()
    run = RunDir(Path(arguments.run_dir).absolute())
    try:
        held = lock.acquire(run.lock)
    except lock.AlreadyHeldError as error:
        print(f"another engine works here: {error.holder}", file=sys.stderr)  # noqa: T201
        return ExitCode.ERROR
    forgive_full_disks()
    flag = StopFlag()
    attempt = 1 + _count_attempts(run)
    is_new = attempt == 1
    offset = 0 if is_new or not run.commands.exists() else run.commands.stat().st_size
    _catch_signals(flag, lambda: _stop_is_waiting(run, offset))
    writer = EventWriter(run.events, ballast_path=run.ballast)
    writer(
        EngineStarted(
            run_id=run.run_id,
            pid=os.getpid(),
            host=socket.gethostname(),
            version=__version__,
            attempt=attempt,
        )
    )
    control = Control(run.commands, offset, writer, flag, arguments.owner_pid)
    _start_heartbeat(writer, control.progress)
    try:
        from ecotui.engine.runner import run_job  # noqa: PLC0415 - after the first event

        return run_job(run, control, writer, attempt=attempt)
    finally:
        writer.sync()
        held.release()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ecotui.engine")
    parser.add_argument("run_dir")
    parser.add_argument("--owner-pid", type=int, default=None)
    return parser.parse_args()


def _count_attempts(run: RunDir) -> int:
    """Return how many engines have begun here before."""
    try:
        with run.events.open("rb") as log:
            return sum(line.startswith(b'{"kind":"engine_started"') for line in log)
    except FileNotFoundError:
        return 0


def _catch_signals(flag: StopFlag, stop_is_waiting: Callable[[], bool]) -> None:
    """Make a first signal a wish to stop, and a second one leave at once.

    The handler only sets a flag: saving from within a handler can meet any
    half-done work. A hang-up of the terminal is nothing to an engine.
    """

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if flag.reason is not None or stop_is_waiting():
            os._exit(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        flag.reason = f"received {signal.Signals(number).name}"

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _stop_is_waiting(run: RunDir, offset: int) -> bool:
    """Say whether a StopRun was appended that the loop has not come to yet."""
    commands, _ = read_commands(run.commands, offset)
    return any(isinstance(command, StopRun) for command in commands)


def _start_heartbeat(emit: Callable[[Heartbeat], None], progress: Progress) -> None:
    def beat() -> None:
        while not stopped.wait(HEARTBEAT_SECONDS):
            emit(Heartbeat(step=progress.step, seconds_since_progress=progress.silence_seconds()))

    stopped = threading.Event()
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


if __name__ == "__main__":
    try:
        code = main()
    except BaseException:
        traceback.print_exc()
        raise
    # Without waiting for what libraries left behind: everything is written.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""The child's door: lock, signals, first event; only then the heavy imports.

`python -m ecotui.engine RUN_DIR [--owner-pid PID] [--asked-at UNIX] [--ends-at UNIX]
[--set KEY=VALUE]...`; or `--spare`: the arguments come later, and libraries are loaded meanwhile.
Its output goes to `engine.log`; what it has to say to people goes into `events.jsonl`.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from ecotui import __version__, lock
from ecotui.engine.awake import kept_awake
from ecotui.engine.control import Control, Progress, StopFlag
from ecotui.engine.deadline import Deadline, end_time
from ecotui.engine.opening import Opening
from ecotui.engine.raw_log import forgive_full_disks
from ecotui.engine.signals import catch_signals, settle, stops_asked
from ecotui.errors import ExitCode
from ecotui.events import EngineStarted, Event, Heartbeat
from ecotui.occupancy import who
from ecotui.paths import RunDir
from ecotui.spare_engine import SPARE
from ecotui.stream import EventWriter

HEARTBEAT_SECONDS = 5.0

# The audit multiplies small matrices in several threads; NumPy's own threads would only get in
# their way (measured: several times slower). Read when NumPy is loaded; PyTorch has a setting
# of its own.
for _name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> int:
    """Hold the lock of a run directory, do its job, and return the exit code."""
    arguments = _parse()
    run = RunDir(Path(arguments.run_dir).absolute())
    try:
        held = lock.acquire(run.lock)
    except lock.AlreadyHeldError as error:
        print(f"another engine works here: {who(error.holder)}", file=sys.stderr)  # noqa: T201
        return ExitCode.ERROR
    forgive_full_disks()
    flag = StopFlag()
    attempt = 1 + _count_attempts(run)
    is_new = attempt == 1
    offset = 0 if is_new or not run.commands.exists() else run.commands.stat().st_size
    catch_signals(flag, lambda: stops_asked(run.commands, offset))
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
    deadline = Deadline(end_time(arguments.ends_at))
    control = Control(run.commands, offset, writer, flag, arguments.owner_pid, deadline=deadline)
    _start_heartbeat(writer, control.progress)

    opening = Opening(writer, arguments.asked_at)

    def state(event: Event) -> None:
        opening(event)
        settle(flag, event)

    try:
        from ecotui.engine.runner import run_job  # noqa: PLC0415 - after the first event

        with kept_awake():
            return run_job(run, control, state, attempt=attempt, settings=tuple(arguments.settings))
    finally:
        writer.sync()
        held.release()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ecotui.engine")
    parser.add_argument("run_dir")
    parser.add_argument("--owner-pid", type=int, default=None)
    parser.add_argument("--asked-at", type=float, default=None, metavar="UNIX_SECONDS")
    parser.add_argument("--ends-at", type=float, default=None, metavar="UNIX_SECONDS")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def _count_attempts(run: RunDir) -> int:
    """Return how many engines have begun here before."""
    try:
        with run.events.open("rb") as log:
            return sum(line.startswith(b'{"kind":"engine_started"') for line in log)
    except FileNotFoundError:
        return 0


def _start_heartbeat(emit: Callable[[Heartbeat], None], progress: Progress) -> None:
    def beat() -> None:
        while not stopped.wait(HEARTBEAT_SECONDS):
            emit(Heartbeat(step=progress.step, seconds_since_progress=progress.silence_seconds()))

    stopped = threading.Event()
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


if __name__ == "__main__":
    try:
        if sys.argv[1:] == [SPARE]:
            from ecotui.engine.spare import wait_for_a_run

            sys.argv[1:] = wait_for_a_run(sys.orig_argv[:-1])
        code = main()
    except BaseException:
        traceback.print_exc()
        raise
    # Without waiting for what libraries left behind: everything is written.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

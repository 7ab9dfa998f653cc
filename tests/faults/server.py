"""Forks engines from a process that has the heavy imports behind it.

Importing torch and timm takes seconds, and a fault test starts hundreds of engines. This
process imports them once, does nothing with them, and forks for each engine asked for. What
runs in the child is the real door, `ecotui.engine` as `__main__`, in a session of its own.

Requests come as JSON lines on stdin: `{"run": PATH, "arguments": [...], "patches": [...]}`.
Answers leave as JSON lines on stdout: `{"started": PID}` and `{"ended": PID, "status": CODE}`,
the code negative for a signal. At the end of stdin every engine is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import runpy
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""For the environment of this process: a process with threads cannot be forked safely."""


def import_everything() -> None:
    """Import what an engine needs; nothing is computed, so that no thread begins."""
    import numpy  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    import ecotui.engine.runner
    import ecotui.engine.trainer  # noqa: F401
    import tests.faults.patches  # noqa: F401

    torch.set_num_threads(1)


def serve() -> None:
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    living: set[int] = set()
    unread = b""
    tell(ready=len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            reap(living)
        if 0 in ready:
            chunk = os.read(0, 65_536)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                living.add(begin(json.loads(line), (woken, waker)))
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap(living: set[int]) -> None:
    for pid in sorted(living):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            living.discard(pid)
            tell(ended=pid, status=os.waitstatus_to_exitcode(status))


def begin(request: dict[str, Any], own_ends: tuple[int, int]) -> int:
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in own_ends:
            os.close(end)
        be_an_engine(**request)
    tell(started=pid)
    return pid


def be_an_engine(run: str, arguments: list[str], patches: list[str]) -> None:
    """Do what `python -m ecotui.engine RUN ...` does; never returns."""
    code = 1
    try:
        os.setsid()
        _become_fresh(Path(run) / "engine.log")
        from tests.faults import patches as known

        sys.argv = ["ecotui.engine", run, *arguments]
        for name in patches:
            known.apply(name)
        runpy.run_module("ecotui.engine", run_name="__main__", alter_sys=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _become_fresh(log: Path) -> None:
    """Let nothing show that this process was forked rather than started."""
    import numpy as np

    null = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(null, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(null)
    os.close(written)
    # A new interpreter seeds them from the system; children with equal ones would hide
    # that a generator is not restored.
    random.seed()
    np.random.seed()


def tell(**message: object) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    import_everything()
    gc.collect()
    gc.freeze()  # the collector of a child would otherwise copy every page
    serve()

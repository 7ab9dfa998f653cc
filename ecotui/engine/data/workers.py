"""The processes that read and transform photos: how they start, and how they end."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import torch

from ecotui.engine.heap import keep_as_usual
from ecotui.engine.randomness import disown_generators

STACKS_SIGNAL = signal.SIGUSR2
"""Makes a worker write the stacks of its threads to stderr, which is engine.log."""

PARENT_INTERVAL_SECONDS = 0.5
"""How often a worker looks for the engine where the kernel does not tell of its death."""

_PR_SET_PDEATHSIG = 1
_FIRST_TO_GO = 1000
"""The kernel's score for processes that it ends first when memory runs out."""


def start_method() -> Literal["fork", "spawn"]:
    """Return how workers are started: forked on Linux, spawned where forking is unsafe."""
    return "fork" if sys.platform.startswith("linux") else "spawn"


def prepare_worker(engine_pid: int) -> None:
    """Make a fresh worker process well-behaved; runs inside it.

    It computes on one thread, keeps no more freed memory than glibc does by itself (or one that
    has read a large photo would hold its memory for good), leaves an interrupt to the engine, ends
    on SIGTERM although the engine's handler was inherited, tells its stacks when asked and when it
    crashes, and ends with the engine (idle workers otherwise lingered for 5 s, a stuck one for
    ever): on Linux the kernel kills it when the engine's thread that started it ends, elsewhere a
    thread of its own watches.

    Args:
        engine_pid: Of the process that starts workers.
    """
    torch.set_num_threads(1)
    keep_as_usual()
    disown_generators()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    faulthandler.enable(file=2)
    faulthandler.register(STACKS_SIGNAL, file=2, all_threads=True)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _offer_to_the_kernel()
    else:
        threading.Thread(target=_leave_with, args=(engine_pid,), daemon=True).start()
    if os.getppid() != engine_pid:  # it died before the kernel was asked
        os._exit(1)


def _leave_with(engine_pid: int) -> None:
    while os.getppid() == engine_pid:
        time.sleep(PARENT_INTERVAL_SECONDS)
    os._exit(1)


def _offer_to_the_kernel() -> None:
    """Let a worker rather than the engine be killed for memory: it can be started anew."""
    # Where the system forbids it the kernel chooses by size alone, as it would anyway.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))

"""The processes that read and transform photos: how they start, and how they end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Literal

import torch

_PR_SET_PDEATHSIG = 1


def start_method() -> Literal["fork", "spawn"]:
    """Return how workers are started: forked on Linux, spawned where forking is unsafe."""
    return "fork" if sys.platform.startswith("linux") else "spawn"


def prepare_worker(engine_pid: int, _worker: int) -> None:
    """Make a fresh worker process well-behaved; runs inside it.

    It computes on one thread, leaves an interrupt to the engine, ends on SIGTERM
    although the engine's handler was inherited, and on Linux is killed by the kernel
    when the engine's thread that started it ends (idle workers otherwise lingered for
    5 s, a stuck one for ever).

    Args:
        engine_pid: Of the process that starts workers.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != engine_pid:  # it died before the kernel was asked
        os._exit(1)

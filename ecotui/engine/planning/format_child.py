"""A process that builds a network and tries formats with it, each in a fork of its own.

Reads its request from the command line, and tells each result as a JSON line. Nothing is
computed before a fork on more than one thread: the threads of a pool do not survive it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ecotui.config import ComputeConfig, DataConfig, ModelConfig
from ecotui.engine.compute import Compute, apply_process_settings
from ecotui.engine.data.workers import prepare_worker, start_method
from ecotui.engine.model import build_model
from ecotui.engine.planning.format_cache import as_told
from ecotui.engine.planning.format_trial import Format, Trial, try_format
from ecotui.resolved_config import ResolvedTrain
from ecotui.text import visible

Request = dict[str, Any]
Try = Callable[[Request, nn.Module, Format], Trial]

POLL_SECONDS = 0.02
_SEED = 20_261_126


def main(request: Request, attempt: Try | None = None) -> None:
    """Try every format of a request, and tell what was seen.

    Args:
        request: See `ecotui.engine.planning.formats`.
        attempt: Tries one format.
    """
    attempt = attempt or _attempt
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    network = _network(request)
    forms = [Format(*each) for each in request["formats"]]
    for form in forms:
        if start_method() == "fork":
            _in_a_fork(request, network, form, attempt)
        else:
            prepare_worker(request["parent"])
            _tell(_tried(request, network, form, attempt))


def _network(request: Request) -> nn.Module:
    """Build the network from scratch: speed does not depend on what the weights are."""
    model = ModelConfig.model_validate(request["model"])
    scratch = model.model_copy(update={"pretrained": False, "weights": None})
    data = DataConfig.model_validate(request["data"])
    return build_model(scratch, data, request["shape"][2]).network


def _attempt(request: Request, network: nn.Module, form: Format) -> Trial:
    compute = Compute(**{**request["compute"], "warnings": ()})
    apply_process_settings(compute, ComputeConfig(deterministic=request["deterministic"]))
    return try_format(
        network,
        form,
        compute,
        ResolvedTrain.model_validate(request["train"]),
        shape=tuple(request["shape"]),
        seconds=request["step_seconds"],
    )


def _tried(request: Request, network: nn.Module, form: Format, attempt: Try) -> Trial:
    try:
        return attempt(request, network, form)
    except Exception as error:
        traceback.print_exc()  # into engine.log
        return Trial(form, fault=visible(f"{type(error).__name__}: {error}", limit=160))


def _in_a_fork(request: Request, network: nn.Module, form: Format, attempt: Try) -> None:
    """Try a format in a fork, and tell of its crash, or that it took too long."""
    sys.stdout.flush()
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            prepare_worker(own)
            _tell(_tried(request, network, form, attempt))
        finally:
            os._exit(0)  # no destructor: what a crash there says was said by the steps
    deadline = time.monotonic() + request["patience_seconds"]
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        is_orphan = os.getppid() != request["parent"]
        is_late = time.monotonic() > deadline
        if ended or is_orphan or is_late:
            break
        time.sleep(POLL_SECONDS)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if is_orphan:
            os._exit(1)
        _tell(Trial(form, fault=f"not done within {request['patience_seconds']:.0f} s"))
    elif status:
        _tell(Trial(form, fault=_ending(os.waitstatus_to_exitcode(status))))


def _ending(code: int) -> str:
    if code >= 0:
        return f"its process left with status {code}"
    try:
        return f"its process crashed ({signal.Signals(-code).name})"
    except ValueError:
        return f"its process crashed (signal {-code})"


def _tell(trial: Trial) -> None:
    # One write of less than a pipe's page, so that lines of two processes never mix.
    os.write(1, (json.dumps(as_told(trial)) + "\n").encode())

"""Stands in for the trial of a format in the child process: chosen speeds, losses and deaths."""

from __future__ import annotations

import os
import time
from typing import Any

from torch import nn

from ecotui.engine.planning.format_trial import Format, Trial

SPEEDS = {"fp32": 1.0, "fp32, channels last": 1.5, "bf16": 2.0, "bf16, channels last": 3.0}


def all_run(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    return Trial(form, 1.0 / SPEEDS[str(form)], 2.3, 1.0)


def bf16_aborts(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    if form.precision == "bf16":
        os.abort()
    return all_run(request, network, form)


def bf16_hangs(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    if form.precision == "bf16":
        time.sleep(600)
    return all_run(request, network, form)


def bf16_raises(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    if form.precision == "bf16":
        raise RuntimeError("no kernel for \x1b[31mBFloat16")
    return all_run(request, network, form)


def bf16_computes_nonsense(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    loss = 3.0 if form.precision == "bf16" else 2.3
    return Trial(form, 1.0 / SPEEDS[str(form)], loss, 1.0)


def the_plain_one_aborts(request: dict[str, Any], network: nn.Module, form: Format) -> Trial:
    if form == Format("fp32", False):
        os.abort()
    return all_run(request, network, form)


def code_of(name: str) -> str:
    return (
        "import json, sys\n"
        "sys.path[:] = json.loads(sys.argv[1])\n"
        "from ecotui.engine.planning.format_child import main\n"
        f"from tests.engine.planning.made_up_formats import {name} as attempt\n"
        "main(json.loads(sys.argv[2]), attempt)\n"
    )

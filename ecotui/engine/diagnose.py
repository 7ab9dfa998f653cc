"""Layer 1: can this environment train at all?

Behaviour first, in a child process: the patient may die of being looked at. What
is known of causes explains it second. This process imports neither torch nor NumPy.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui.engine.control import Control
from ecotui.engine.emit import Emit, span
from ecotui.engine.known_causes import cause_of, reinstall_pair
from ecotui.engine.machine import check_disk, check_memory
from ecotui.engine.probing import LIMIT_SECONDS, Answer, Probe
from ecotui.engine.verdicts import failed, noted, passed
from ecotui.engine.versions import check_packages, check_python, pip_install
from ecotui.errors import EnvironmentFaultError
from ecotui.events import CheckReported
from ecotui.text import bytes_size, counted, listed, visible

CHECKS = (
    "python",
    "packages",
    "torch",
    "numpy_torch",
    "torchvision",
    "timm",
    "device",
    "memory",
    "disk",
)
"""Stable names, causes before what follows from them."""

_GOALS = {
    "torch": ("PyTorch cannot be loaded", "PyTorch {}"),
    "numpy_torch": (
        "a NumPy array cannot become a tensor and come back",
        "an array becomes a tensor and comes back (NumPy {})",
    ),
    "torchvision": (
        "torchvision cannot transform an image",
        "torchvision {} transforms an image",
    ),
    "timm": ("timm cannot be loaded", "timm {}"),
    "device": ("the device cannot be used", ""),
}
"""What is told of a behaviour that fails, and of one that passes."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        checks: A verdict for each of `CHECKS`, in the order they came.
    """

    checks: tuple[CheckReported, ...]

    @property
    def failures(self) -> tuple[CheckReported, ...]:
        """Checks that failed, the cause first."""
        wrong = [check for check in self.checks if check.verdict == "fail"]
        return tuple(sorted(wrong, key=lambda check: CHECKS.index(check.check)))


def diagnose(
    control: Control,
    emit: Emit,
    *,
    runs_path: Path,
    device: str = "auto",
    python: str | None = None,
    raises: bool = True,
    limit_seconds: float = LIMIT_SECONDS,
) -> Diagnosis:
    """Examine the environment: versions, behaviour, devices, memory, disk.

    Args:
        control: Asked whether to stop, while waiting.
        emit: Where the facts go.
        runs_path: Whose disk is looked at; need not exist.
        device: That the run asks for: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        python: The interpreter to examine; the engine's own where not given.
        raises: A check that failed is an error, not only a finding.
        limit_seconds: For everything that is tried in a child process, together.

    Raises:
        EnvironmentFaultError: A check failed; all of them have been reported then.

    Emits:
        StageStarted, CheckReported, StageAdvanced, StageFinished.
    """
    found: list[CheckReported] = []
    with (
        span(emit, "diagnose", total=len(CHECKS), unit="checks") as stage,
        Probe(device, limit_seconds=limit_seconds, python=python or sys.executable) as probe,
    ):

        def report(*checks: CheckReported) -> None:
            for check in checks:
                found.append(check)
                emit(check)
            stage.advance(len(checks))

        report(check_python(), check_packages(), check_memory(), check_disk(runs_path))
        answers = probe.answers(lambda: control.poll(0))
        report(*(_judged(step, answers, device) for step in CHECKS if step in _GOALS))
    diagnosis = Diagnosis(tuple(found))
    if diagnosis.failures and raises:
        first = diagnosis.failures[0]
        raise EnvironmentFaultError(first.what, first.expected, first.remedy)
    return diagnosis


def _judged(step: str, answers: dict[str, Answer], device: str) -> CheckReported:
    answer = answers.get(step)
    if answer is None:
        return noted(step, f"{_subject(step)}: not tried, because of an earlier failure")
    if answer.seen is None:
        return _explained(step, answer.fault)
    if step == "device":
        return _judged_devices(answer.seen, device)
    return passed(step, _GOALS[step][1].format(visible(answer.seen.get("version"), limit=60)))


def _subject(step: str) -> str:
    return {"numpy_torch": "NumPy with PyTorch", "torch": "PyTorch"}.get(step, step)


def _explained(step: str, fault: str) -> CheckReported:
    """Put a failure into words: its cause where it is known, else what Python said."""
    wrong = _GOALS[step][0]
    cause = cause_of(fault)
    if cause is not None:
        said = f"{cause.words}: {wrong} ({visible(fault, limit=300)})"
        return failed(step, said, cause.expected, cause.remedy)
    remedy = {
        "numpy_torch": pip_install("--force-reinstall", "numpy"),
        "timm": pip_install("--force-reinstall", "--no-deps", "timm"),
        "device": "check the driver, or train on the CPU: --set compute.device=cpu",
    }.get(step, reinstall_pair())
    expected = f"{_subject(step)} at work in a process of its own"
    return failed(step, f"{wrong}: {visible(fault, limit=300)}", expected, remedy)


def _judged_devices(seen: dict[str, Any], device: str) -> CheckReported:
    """Say what there is and what `auto` takes; a device asked for must be there."""
    cards, has_mps = seen.get("cuda") or [], bool(seen.get("mps"))
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= len(cards):
        return failed(
            "device",
            f"compute.device = '{device}', but PyTorch sees {counted(len(cards), 'CUDA device')}",
            "a CUDA device that PyTorch can use",
            "check nvidia-smi and the driver, or set compute.device = 'auto'",
        )
    if kind == "mps" and not has_mps:
        return failed(
            "device",
            "compute.device = 'mps', but PyTorch cannot use MPS here",
            "a Mac with Apple silicon and macOS 12.3 or newer",
            "set compute.device = 'auto'",
        )
    taken = "cuda" if cards else "mps" if has_mps else "cpu"
    names = [f"{card['name']} ({bytes_size(card['memory_bytes'])})" for card in cards]
    there = [*names, *(["MPS"] if has_mps else []), "CPU"]
    number_format = " in bf16" if seen.get("bf16") else ""
    chosen = f"auto takes {taken}" if device == "auto" else f"{device} is asked for"
    return passed("device", f"{chosen}{number_format}; there are: {listed(there)}")

"""Causes of a broken environment, known by what Python says of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ecotui.engine.versions import pip_install, release_of, version_of


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a behaviour fails, and what mends it.

    Attributes:
        words: The cause.
        expected: What is needed instead.
        remedy: A command for this interpreter, or advice.
    """

    words: str
    expected: str
    remedy: str


def cause_of(fault: str) -> Cause | None:
    """Return the known cause of a fault; None where it says nothing known.

    Source:
        NumPy 2 under PyTorch below 2.3: pytorch/pytorch issues 107302 and 132179 (2.3.0 is the
        first release that supports it). torchvision::nms: pytorch/pytorch issue 122494 (a
        torchvision built for another torch, or for CUDA beside a torch for the CPU).
        Pairs of releases: the table in the README of pytorch/vision. A module that shadows
        another: the Python tutorial, "The module search path".
    """
    for pattern, explain in _KNOWN:
        match = pattern.search(fault)
        if match is not None:
            return explain(match)
    return None


def reinstall_pair() -> str:
    """Return the command that installs torch with the torchvision made for it, both anew."""
    version = version_of("torch")
    release = release_of(version or "")
    if len(release) < 2 or release[0] != 2:
        return pip_install("--force-reinstall", "torch", "torchvision")
    # Since 2.0 with 0.15, the minor numbers have gone on side by side.
    torch = "torch==" + ".".join(str(part) for part in release)
    return pip_install("--force-reinstall", torch, f"torchvision==0.{release[1] + 15}.*")


def _numpy_unavailable(match: re.Match[str]) -> Cause:
    del match
    numpy, torch = version_of("numpy") or "?", version_of("torch") or "?"
    if release_of(numpy) >= (2,) and release_of(torch) < (2, 3):
        return Cause(
            f"NumPy {numpy} is too new for PyTorch {torch}, which was built for NumPy 1",
            "NumPy below 2, or PyTorch 2.3 or later",
            pip_install("numpy<2"),
        )
    return Cause(
        f"PyTorch {torch} cannot use NumPy {numpy}",
        "a whole installation of NumPy",
        pip_install("--force-reinstall", "numpy"),
    )


def _unfit_pair(match: re.Match[str]) -> Cause:
    del match
    return Cause(
        f"torchvision {version_of('torchvision')} was not built for torch {version_of('torch')}",
        "a torchvision of the same release and build (CPU or CUDA) as torch",
        reinstall_pair(),
    )


def _absent(match: re.Match[str]) -> Cause:
    name = match[1].partition(".")[0]
    package = {"PIL": "pillow"}.get(name, name)
    return Cause(f"{package} is not installed", f"{package}, whole", pip_install(package))


def _shadowed(match: re.Match[str]) -> Cause:
    name = match[1].partition(".")[0]
    return Cause(
        f"a file of the same name may stand before {name} on Python's path",
        f"no {name}.py or random.py of your own where ecotui is started",
        "rename that file, or start ecotui in another folder",
    )


def _library_absent(match: re.Match[str]) -> Cause:
    return Cause(
        f"the library {match[1]} that PyTorch needs is not there",
        "a whole installation of torch",
        reinstall_pair(),
    )


def _old_driver(match: re.Match[str]) -> Cause:
    del match
    return Cause(
        "the NVIDIA driver is too old for this PyTorch",
        "a driver for the CUDA release that torch was built with",
        "update the driver, or train on the CPU: --set compute.device=cpu",
    )


def _wrong_processor(match: re.Match[str]) -> Cause:
    del match
    return Cause(
        "the packages use instructions that this processor does not have",
        "packages built for this processor",
        reinstall_pair(),
    )


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Cause]], ...] = (
    (
        re.compile(r"Numpy is not available|_ARRAY_API not found|compiled using NumPy 1"),
        _numpy_unavailable,
    ),
    (re.compile(r"torchvision::nms|torchvision[^;]*undefined symbol"), _unfit_pair),
    (re.compile(r"No module named '([^']+)'"), _absent),
    (re.compile(r"partially initialized module '([^']+)'"), _shadowed),
    (re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object"), _library_absent),
    (re.compile(r"undefined symbol"), _unfit_pair),
    (re.compile(r"driver on your system is too old"), _old_driver),
    (re.compile(r"SIGILL"), _wrong_processor),
)

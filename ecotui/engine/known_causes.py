"""Causes of a broken environment, known by what Python says of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ecotui.engine.versions import Inventory, fitting, fitting_torchvision, release_of

_PAIRS = "the table of releases in the README of pytorch/vision"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a behaviour fails, and what mends it.

    Attributes:
        words: The cause.
        expected: What is needed instead.
        advice: What to do where no command mends it.
        fix: The command that mends it, as an argument list; empty where there is none.
        source: Where that is known from.
    """

    words: str
    expected: str
    advice: str = ""
    fix: tuple[str, ...] = ()
    source: str = ""

    @property
    def remedy(self) -> str:
        """The command as it is typed, or the advice."""
        return shlex.join(self.fix) if self.fix else self.advice


def cause_of(fault: str, inventory: Inventory) -> Cause | None:
    """Return the known cause of a fault; None where it says nothing known.

    Args:
        fault: What Python said, or how it ended.
        inventory: Of the interpreter where it happened.

    Source:
        NumPy 2 under PyTorch below 2.3: pytorch/pytorch issues 107302 and 132179 (2.3.0 is the
        first release that supports it). torchvision::nms: pytorch/pytorch issues 122494 and
        157648 (a torchvision built for another torch, or for CUDA beside a torch for the CPU).
        Pairs of releases: the table in the README of pytorch/vision. A module that shadows
        another: the Python tutorial, "The module search path".
    """
    for pattern, explain in _KNOWN:
        match = pattern.search(fault)
        if match is not None:
            return explain(match, inventory)
    return None


def reinstall_pair(inventory: Inventory) -> tuple[str, ...]:
    """Return the command that installs torch with the torchvision made for it, both anew.

    The same torch, and nothing of what either needs: anew, that would be the newest of all.
    """
    version = inventory.version("torch") or ""
    release = release_of(version)
    if len(release) < 2 or release[0] != 2:
        return inventory.pip_install("--force-reinstall", "torch", "torchvision")
    pair = (f"torch=={version}", fitting_torchvision(version))
    return inventory.pip_install("--force-reinstall", "--no-deps", *pair)


def refit_torchvision(inventory: Inventory) -> tuple[str, ...]:
    """Return the command that installs the torchvision made for the torch that is there.

    Without what it needs: its want of one exact torch would fetch that anew, 2 GB at times.
    """
    wanted = fitting_torchvision(inventory.version("torch") or "")
    return inventory.pip_install("--force-reinstall", "--no-deps", wanted)


def _numpy_unavailable(match: re.Match[str], inventory: Inventory) -> Cause:
    del match
    numpy, torch = inventory.version("numpy") or "?", inventory.version("torch") or "?"
    if release_of(numpy) >= (2,) and release_of(torch) < (2, 3):
        return Cause(
            f"NumPy {numpy} is too new for PyTorch {torch}, which was built for NumPy 1",
            "NumPy below 2, or PyTorch 2.3 or later",
            fix=inventory.pip_install("numpy<2"),
            source="pytorch/pytorch issues 107302 and 132179",
        )
    return Cause(
        f"PyTorch {torch} cannot use NumPy {numpy}",
        "a whole installation of NumPy",
        fix=inventory.pip_install("--force-reinstall", "numpy"),
    )


def _unfit_pair(match: re.Match[str], inventory: Inventory) -> Cause:
    del match
    kinds = {name: inventory.cuda_of(name) for name in ("torch", "torchvision")}
    made = ""
    if None not in kinds.values() and kinds["torch"] != kinds["torchvision"]:
        made = f" ({_made_for(kinds['torchvision'])} beside {_made_for(kinds['torch'])})"
    return Cause(
        f"torchvision {inventory.version('torchvision')} was not built for torch "
        f"{inventory.version('torch')}{made}",
        "a torchvision of the same release and build (CPU or CUDA) as torch",
        fix=refit_torchvision(inventory),
        source=f"{_PAIRS}; pytorch/pytorch issues 122494 and 157648",
    )


def _made_for(cuda: str | None) -> str:
    return f"one for CUDA {cuda}" if cuda else "one for the CPU"


def _absent(match: re.Match[str], inventory: Inventory) -> Cause:
    name = match[1].partition(".")[0]
    package = {"PIL": "pillow", "cv2": "opencv-python-headless"}.get(name, name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", package):
        return Cause(f"the module {name} is not there", "a whole installation", "install it anew")
    return Cause(
        f"{package} is not installed",
        f"{package}, whole",
        fix=inventory.pip_install(fitting(package, inventory)),
    )


def _shadowed(match: re.Match[str], inventory: Inventory) -> Cause:
    del inventory
    name = match[1].partition(".")[0]
    return Cause(
        f"a file of the same name may stand before {name} on Python's path",
        f"no {name}.py or random.py of your own where ecotui is started",
        "rename that file, or start ecotui in another folder",
        source="the Python tutorial, 6.1.2, The Module Search Path",
    )


def _library_absent(match: re.Match[str], inventory: Inventory) -> Cause:
    return Cause(
        f"the library {match[1]} that PyTorch needs is not there",
        "a whole installation of torch",
        fix=reinstall_pair(inventory),
    )


def _system_library_absent(match: re.Match[str], inventory: Inventory) -> Cause:
    del inventory
    return Cause(
        f"the system's library {match[1]} is not there, which OpenCV with windows needs",
        "opencv-python-headless, or the system's package with that library",
        "install the library with the system's package manager, or use opencv-python-headless",
        source="the README of opencv/opencv-python, Frequently Asked Questions",
    )


def _old_driver(match: re.Match[str], inventory: Inventory) -> Cause:
    del match
    cuda = inventory.builds.get("torch", {}).get("cuda") or "the CUDA release"
    return Cause(
        "the NVIDIA driver is too old for this PyTorch",
        f"a driver for CUDA {cuda}, which torch was built with",
        "update the driver, or train on the CPU: --set compute.device=cpu",
        source="NVIDIA, CUDA Compatibility, Minor Version Compatibility, table 1",
    )


def _no_kernels(match: re.Match[str], inventory: Inventory) -> Cause:
    del match
    return Cause(
        f"torch {inventory.version('torch')} has no code for this GPU's generation",
        "a torch built for the compute capability of the card",
        "install a torch whose CUDA release knows this card, or train on the CPU: "
        "--set compute.device=cpu",
        source="pytorch/pytorch, RELEASE.md, the table of supported architectures",
    )


def _wrong_processor(match: re.Match[str], inventory: Inventory) -> Cause:
    del match
    return Cause(
        "the packages use instructions that this processor does not have",
        "packages built for this processor",
        fix=reinstall_pair(inventory),
    )


def _no_room_to_share(match: re.Match[str], inventory: Inventory) -> Cause:
    del match, inventory
    return Cause(
        "workers cannot hand over their batches: shared memory is full or too small",
        "some gigabytes in /dev/shm, or no workers",
        "give the container more (docker run --shm-size=2g), or set compute.workers=0",
        source="PyTorch documentation, Multiprocessing best practices",
    )


Explain = Callable[[re.Match[str], Inventory], Cause]
_KNOWN: tuple[tuple[re.Pattern[str], Explain], ...] = (
    (
        re.compile(r"Numpy is not available|_ARRAY_API not found|compiled using NumPy 1"),
        _numpy_unavailable,
    ),
    (re.compile(r"torchvision::nms|torchvision[^;]*undefined symbol"), _unfit_pair),
    (re.compile(r"libtorch_cuda\.so|libcudart[\w.-]*\.so.*torchvision"), _unfit_pair),
    (re.compile(r"compiled with different CUDA"), _unfit_pair),
    (re.compile(r"No module named '([^']+)'"), _absent),
    (re.compile(r"partially initialized module '([^']+)'"), _shadowed),
    (re.compile(r"(libGL\.so[\w.]*|libgthread[\w.-]*\.so[\w.]*)"), _system_library_absent),
    (re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object"), _library_absent),
    (re.compile(r"undefined symbol"), _unfit_pair),
    (re.compile(r"driver on your system is too old"), _old_driver),
    (
        re.compile(r"no kernel image is available|is not compatible with the current PyTorch"),
        _no_kernels,
    ),
    (re.compile(r"SIGILL"), _wrong_processor),
    (re.compile(r"SIGBUS|[Bb]us error|out of shared memory|/dev/shm"), _no_room_to_share),
)

"""The child that loads an inspected file and writes its tensors as safetensors.

`python -m ecotui.engine.foreign.loading ORDER.json`. It has limits on memory,
time and what it writes, no standard streams, and answers through a file. Only
plain tensors of the shapes that the inspection saw leave it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_SPARE_BYTES = 1_000_000_000
"""Address space beside the file's own: torch's working threads and buffers."""
_COPIES = 4
"""The file, the tensors, their copies side by side, and what is being written."""
_MIN_CPU_SECONDS, _BYTES_A_SECOND = 120, 10_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What the child is to do; a JSON file.

    Attributes:
        source: The file.
        kind: `torch` or `safetensors`.
        keys: Under which the state dict lies, the outermost first.
        names: Old name to new name.
        shapes: By new name.
        num_bytes: The larger of the file's and the tensors' size.
        output: Where to write; must not exist.
        answer: Where to answer.
        metadata: Words for the new file.
        engine_pid: The process that waits.
    """

    source: str
    kind: str
    keys: tuple[str, ...]
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    num_bytes: int
    output: str
    answer: str
    metadata: Mapping[str, str]
    engine_pid: int

    def as_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def main(order_path: str) -> int:
    """Do what an order says and write the answer: empty, or what went wrong."""
    order = Order(**json.loads(Path(order_path).read_bytes()))
    _end_with(order.engine_pid)
    _limit_output(order.num_bytes)
    try:
        _obey(order)
    except Exception as error:  # Whatever it is, who asked must hear of it.
        fault = f"{type(error).__name__}: {error}"
        Path(order.answer).write_text(json.dumps({"fault": fault[:2_000]}), encoding="utf-8")
        return 1
    Path(order.answer).write_text(json.dumps({"fault": ""}), encoding="utf-8")
    return 0


def _obey(order: Order) -> None:
    import safetensors.torch  # noqa: PLC0415 - after the limits that need no torch
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    _limit_memory(order.num_bytes)
    found: Any
    if order.kind == "safetensors":
        found = safetensors.torch.load_file(order.source)
    else:
        found = torch.load(order.source, map_location="cpu", weights_only=True)
    for key in order.keys:
        found = found[key]
    taken: dict[str, torch.Tensor] = {}
    for old, new in order.names.items():
        tensor = found[old]
        shape = tuple(order.shapes[new])
        if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
            raise TypeError(f"{new} is not the tensor that was seen in the file")
        taken[new] = tensor.detach().to("cpu", copy=True).contiguous()
    del found
    safetensors.torch.save_file(taken, order.output, metadata=dict(order.metadata))
    _publish(order.output)


def _publish(path: str) -> None:
    """Bring the file to the disk, readable for those that the person's umask lets."""
    umask = os.umask(0)
    os.umask(umask)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o666 & ~umask)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_with(engine_pid: int) -> None:
    """Have the kernel end this process with the engine, where it can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != engine_pid:
        os._exit(1)


def _limit_output(num_bytes: int) -> None:
    """Bound the time that may be worked and the size of every file that is written."""
    seconds = _MIN_CPU_SECONDS + num_bytes // _BYTES_A_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    written = num_bytes + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(num_bytes: int) -> None:
    """Bound the memory on top of what torch itself has mapped by now."""
    with contextlib.suppress(OSError, ValueError):  # No such figure, or no such limit, on macOS.
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + _COPIES * num_bytes + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))

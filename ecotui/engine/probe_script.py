"""What a child process tries, one behaviour after the other; run by its text, never imported.

`python -c TEXT STEP,STEP DEVICE LIMIT_SECONDS PARENT_PID`. Needs the standard library alone until a
step imports something, so that it starts where nothing else does. Tells each step as it
begins and ends, as a JSON line on stdout: what is missing names the step that Python died of.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any


def load_torch(device: str) -> dict[str, Any]:
    """Import PyTorch."""
    del device
    return {"version": str(importlib.import_module("torch").__version__)}


def convert_array(device: str) -> dict[str, Any]:
    """Turn a NumPy array into a tensor and back."""
    del device
    numpy, torch = importlib.import_module("numpy"), importlib.import_module("torch")
    before = numpy.arange(6.0).reshape(2, 3)
    after = (torch.from_numpy(before) + 1).numpy()
    if after.tolist() != [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]:
        raise RuntimeError(f"an array comes back from a tensor as {after.tolist()}")
    return {"version": str(numpy.__version__)}


def transform_photo(device: str) -> dict[str, Any]:
    """Run a torchvision transform on a Pillow image."""
    del device
    torchvision = importlib.import_module("torchvision")
    transforms = importlib.import_module("torchvision.transforms")
    image = importlib.import_module("PIL.Image").new("RGB", (12, 10), (255, 0, 0))
    chain = transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor()])
    tensor = chain(image)
    if tuple(tensor.shape) != (3, 8, 8) or float(tensor[0].mean()) != 1.0:
        raise RuntimeError(f"a red image comes out of the transforms as {tuple(tensor.shape)}")
    return {"version": str(torchvision.__version__)}


def load_timm(device: str) -> dict[str, Any]:
    """Import timm and look at its models."""
    del device
    timm = importlib.import_module("timm")
    if not timm.is_model("resnet18"):
        raise RuntimeError("timm does not know the model resnet18")
    return {"version": str(timm.__version__)}


def compute_on_device(device: str) -> dict[str, Any]:
    """List the devices, and add some numbers on the one that is to be used."""
    torch = importlib.import_module("torch")
    cards = []
    has_cuda = torch.cuda.is_available()
    for index in range(torch.cuda.device_count() if has_cuda else 0):
        facts = torch.cuda.get_device_properties(index)
        cards.append({"name": str(facts.name), "memory_bytes": int(facts.total_memory)})
    has_mps = bool(torch.backends.mps.is_available())
    seen = {
        "cuda": cards,
        "mps": has_mps,
        "bf16": bool(has_cuda and torch.cuda.is_bf16_supported()),
        "cuda_build": str(torch.version.cuda or ""),
    }
    chosen = device
    if device == "auto":
        chosen = "cuda" if cards else "mps" if has_mps else "cpu"
    index = int(chosen.partition(":")[2] or 0)
    is_there = {"cuda": index < len(cards), "mps": has_mps, "cpu": True}
    if is_there.get(chosen.partition(":")[0], False):
        total = float(torch.ones(8, device=chosen).sum())
        if total != 8.0:
            raise RuntimeError(f"{chosen} adds eight ones up to {total}")
    return seen


STEPS = {
    "torch": load_torch,
    "numpy_torch": convert_array,
    "torchvision": transform_photo,
    "timm": load_timm,
    "device": compute_on_device,
}


def leave_with(parent: int) -> None:
    """End this process when the one that asks has died, however it died."""
    if sys.platform.startswith("linux"):
        kernel = importlib.import_module("ctypes").CDLL(None)
        kernel.prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
    else:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def watch(parent: int) -> None:
    """Look every half second whether the parent lives."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Try the steps named; without torch there is nothing more to try."""
    names, device, limit_seconds = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
    leave_with(int(sys.argv[4]))
    # Should nobody wait any more, even a hang in native code ends.
    signal.alarm(int(float(limit_seconds)) + 5)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What libraries print is no answer.

    def tell(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    for name in names:
        tell(step=name, state="begun")
        try:
            tell(step=name, state="done", seen=STEPS[name](device))
        except BaseException as error:
            tell(step=name, state="failed", error=f"{type(error).__name__}: {error}"[:4000])
            if name == "torch":
                break
    os._exit(0)


if __name__ == "__main__":
    main()

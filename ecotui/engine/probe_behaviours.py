"""Behaviours that training needs, each tried on something tiny; run by `probe_script`.

Standard library alone until a function imports something, and Python 3.8 or newer: the
interpreter that is examined may be older than the one that ecotui needs.
"""

from __future__ import annotations

import base64
import importlib
import io
import os
import tempfile
from typing import Any, Callable, Dict, List  # noqa: UP035 - evaluated by Python 3.8

Request = Dict[str, Any]  # noqa: UP006 - evaluated by Python 3.8
"""What is asked: `device`, `runs`, `model`, `workers`, `start_method`."""

PHOTOS = {
    "JPEG": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZG"
        "NywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09P"
        "T09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAIAAgDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAA"
        "AAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS"
        "0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJ"
        "ipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6"
        "/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJB"
        "UQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
        "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna"
        "4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDGooorzT7Y/9k="
    ),
    "PNG": (
        "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGO8IyfHgA0wYRUdtBIA4FYBKCgCg6AA"
        "AAAASUVORK5CYII="
    ),
    "WEBP": (
        "UklGRjgAAABXRUJQVlA4ICwAAACQAQCdASoIAAgAAoBCJaACdLoAA5gA/u2QP9amRj6MX/2Dv/0Hf/oO/04AAA=="
    ),
}
"""A red photo of 8 x 8 pixels in each format, base64."""

TINY_MODELS = ("test_resnet", "resnet10t", "resnet18")
"""Of which the first that this timm knows is trained for a step; the last is in every release."""

_IMAGE_PIXELS = 32


def convert_array(request: Request) -> dict[str, Any]:
    """Turn a NumPy array into a tensor and back."""
    del request
    numpy, torch = importlib.import_module("numpy"), importlib.import_module("torch")
    before = numpy.arange(6.0).reshape(2, 3)
    after = (torch.from_numpy(before) + 1).numpy()
    if after.tolist() != [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]:
        raise RuntimeError(f"an array comes back from a tensor as {after.tolist()}")
    return {"version": str(numpy.__version__)}


def transform_photo(request: Request) -> dict[str, Any]:
    """Run a torchvision transform on a Pillow image."""
    del request
    torchvision = importlib.import_module("torchvision")
    transforms = importlib.import_module("torchvision.transforms")
    image = importlib.import_module("PIL.Image").new("RGB", (12, 10), (255, 0, 0))
    chain = transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor()])
    tensor = chain(image)
    if tuple(tensor.shape) != (3, 8, 8) or float(tensor[0].mean()) != 1.0:
        raise RuntimeError(f"a red image comes out of the transforms as {tuple(tensor.shape)}")
    return {"version": str(torchvision.__version__)}


def decode_photos(request: Request) -> dict[str, Any]:
    """Decode a photo of each format from memory."""
    del request
    pillow = importlib.import_module("PIL")
    image_module = importlib.import_module("PIL.Image")
    faults = {}
    for name, encoded in PHOTOS.items():
        try:
            photo = image_module.open(io.BytesIO(base64.b64decode(encoded)), formats=[name])
            red, green, blue = photo.convert("RGB").getpixel((4, 4))
            if red < 180 or green > 80 or blue > 80:
                raise ValueError(f"a red photo is decoded as {(red, green, blue)}")
        except Exception as error:
            faults[name] = f"{type(error).__name__}: {error}"[:300]
    return {"version": str(pillow.__version__), "faults": faults}


def know_models(request: Request) -> dict[str, Any]:
    """Import timm and look at its models."""
    timm = importlib.import_module("timm")
    if not timm.is_model("resnet18"):
        raise RuntimeError("timm does not know the model resnet18")
    name = str(request.get("model") or "")
    bare = name.partition(".")[0]
    is_known = not name or ":" in name or "/" in name or bool(timm.is_model(bare))
    return {"version": str(timm.__version__), "knows": is_known}


def train_a_step(device: str) -> str:
    """Run a tiny model forward and backward on a device and return its name."""
    torch, timm = importlib.import_module("torch"), importlib.import_module("timm")
    name = next(name for name in TINY_MODELS if timm.is_model(name))
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=2).to(device).train()
    images = torch.randn(2, 3, _IMAGE_PIXELS, _IMAGE_PIXELS).to(device)
    loss = torch.nn.functional.cross_entropy(model(images), torch.tensor([0, 1]).to(device))
    loss.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    if not gradients or not bool(torch.isfinite(loss)):
        raise RuntimeError(f"{name} on {device}: loss {float(loss)}, {len(gradients)} gradients")
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise RuntimeError(f"{name} on {device}: gradients that are not finite")
    return name


def train_on_cpu(request: Request) -> dict[str, Any]:
    """Run a tiny timm model forward and backward on the CPU."""
    del request
    return {"name": train_a_step("cpu")}


def keep_tensors(request: Request) -> dict[str, Any]:
    """Write tensors as safetensors and read them again."""
    del request
    safetensors = importlib.import_module("safetensors")
    torch, store = (
        importlib.import_module("torch"),
        importlib.import_module("safetensors.torch"),
    )
    before = {"weight": torch.arange(6.0).reshape(2, 3)}
    after = store.load(store.save(before))
    if after["weight"].tolist() != before["weight"].tolist():
        raise RuntimeError(f"a tensor comes back as {after['weight'].tolist()}")
    return {"version": str(safetensors.__version__)}


def read_in_workers(request: Request) -> dict[str, Any]:
    """Read batches with worker processes."""
    data = importlib.import_module("torch.utils.data")
    workers = int(request.get("workers") or 2)
    loader = data.DataLoader(
        list(range(8)),
        batch_size=2,
        num_workers=workers,
        multiprocessing_context=request.get("start_method"),
    )
    seen = [value for batch in loader for value in batch.tolist()]
    if seen != list(range(8)):
        raise RuntimeError(f"eight samples come back as {seen}")
    return {"workers": workers}


def list_devices(request: Request) -> dict[str, Any]:
    """List the devices, and add some numbers on the one that is to be used."""
    torch = importlib.import_module("torch")
    device = str(request.get("device") or "auto")
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


def compute_formats(device: str) -> dict[str, str]:
    """Return, for bf16 and fp16, why a device cannot multiply in them; empty where it can."""
    torch = importlib.import_module("torch")
    found = {}
    for name in ("bfloat16", "float16"):
        try:
            ones = torch.ones(8, 8, dtype=getattr(torch, name), device=device)
            total = float((ones @ ones).sum())
            found[name] = "" if total == 512.0 else f"64 sums of eight ones make {total}"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"[:300]
    return found


def compute_formats_on_cpu(request: Request) -> dict[str, Any]:
    """Try bf16 and fp16 on the CPU."""
    del request
    return {"cpu": compute_formats("cpu")}


def train_on_devices(request: Request) -> dict[str, Any]:
    """Train a tiny model for a step on every accelerator, and try its number formats."""
    del request
    torch = importlib.import_module("torch")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [f"cuda:{index}" for index in range(count)]
    names += ["mps"] if torch.backends.mps.is_available() else []
    found: List[Dict[str, Any]] = []  # noqa: UP006 - evaluated by Python 3.8
    for name in names:
        fault = ""
        try:
            train_a_step(name)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"[:1000]
        formats = compute_formats(name) if not fault else {}
        found.append({"device": name, "fault": fault, "formats": formats})
    return {"devices": found}


def write_durably(request: Request) -> dict[str, Any]:
    """Write, flush, rename and read again where the runs lie, as saving a checkpoint does."""
    place = os.path.abspath(str(request["runs"]))
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    with tempfile.TemporaryDirectory(prefix=".ecotui-", dir=place) as folder:
        written, final = os.path.join(folder, "writing"), os.path.join(folder, "written")
        content = os.urandom(65_536)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(written, final)
        names = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(names)
        finally:
            os.close(names)
        with open(final, "rb") as file:
            if file.read() != content:
                raise OSError("what was written is not what is read")
    return {"place": place}


Behaviour = Callable[[Request], Dict[str, Any]]  # noqa: UP006 - evaluated by Python 3.8

BEHAVIOURS: Dict[str, Behaviour] = {  # noqa: UP006 - evaluated by Python 3.8
    "writing": write_durably,
    "numpy_torch": convert_array,
    "torchvision": transform_photo,
    "decoding": decode_photos,
    "timm": know_models,
    "model": train_on_cpu,
    "safetensors": keep_tensors,
    "loader": read_in_workers,
    "device": list_devices,
    "number_formats": compute_formats_on_cpu,
    "accelerator": train_on_devices,
}
"""By the name of the check that judges it."""

NEEDS: Dict[str, tuple[str, ...]] = {  # noqa: UP006 - evaluated by Python 3.8
    "writing": (),
    "numpy_torch": ("torch", "numpy"),
    "torchvision": ("torch", "PIL", "torchvision"),
    "decoding": ("PIL",),
    "timm": ("torch", "timm"),
    "model": ("torch", "timm"),
    "safetensors": ("torch", "safetensors"),
    "loader": ("torch",),
    "device": ("torch",),
    "number_formats": ("torch",),
    "accelerator": ("torch", "timm"),
}
"""The packages that have to be imported first."""

"""What the results depend on beside the configuration: versions, processor, threads."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import torch

from ecotui import __version__
from ecotui.engine.compute import Compute
from ecotui.engine.data.transforms import PIXELS_VERSION

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "simplejpeg", "safetensors")


def describe_environment(compute: Compute) -> dict[str, Any]:
    """Return versions, hardware and settings that can change results to the last bit."""
    return {
        "ecotui": __version__,
        "pixels": PIXELS_VERSION,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": compute.device,
        "device_name": _device_name(compute),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "threads": compute.threads,
        "precision": compute.precision,
        "channels_last": compute.channels_last,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device_name(compute: Compute) -> str:
    if compute.device_type == "cuda":
        return torch.cuda.get_device_name(compute.device)
    return platform.processor() or platform.machine()

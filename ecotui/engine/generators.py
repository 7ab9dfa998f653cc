"""The state of every global random generator, as tensors and JSON, and back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from ecotui.engine.tensors import Tensors

_CUDA_MARK = "torch_cuda_"


def pack_generators() -> tuple[Tensors, dict[str, Any]]:
    """Return the states: of Python, NumPy, and torch on each device."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors: Tensors = {
        "torch_cpu": torch.random.get_rng_state(),
        "numpy_keys": torch.from_numpy(np.asarray(keys, dtype=np.uint32).astype(np.int64)),
        "python_internal": torch.tensor(internal, dtype=torch.int64),
    }
    for index in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        tensors[f"{_CUDA_MARK}{index}"] = torch.cuda.get_rng_state(index)
    if torch.backends.mps.is_available():
        tensors["torch_mps"] = torch.mps.get_rng_state()
    return tensors, {
        "python": [version, gauss],
        "numpy": [name, int(position), int(has_gauss), float(cached)],
    }


def unpack_generators(tensors: Tensors, record: dict[str, Any]) -> None:
    """Make the generators go on from saved states.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: These are no states.
    """
    version, gauss = record["python"]
    random.setstate((version, tuple(tensors["python_internal"].tolist()), gauss))
    name, position, has_gauss, cached = record["numpy"]
    keys = tensors["numpy_keys"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))
    torch.random.set_rng_state(tensors["torch_cpu"])
    for device, state in tensors.items():
        if device.startswith(_CUDA_MARK):
            index = int(device.removeprefix(_CUDA_MARK))
            if index < torch.cuda.device_count():
                torch.cuda.set_rng_state(state, index)
        elif device == "torch_mps" and torch.backends.mps.is_available():
            torch.mps.set_rng_state(state)

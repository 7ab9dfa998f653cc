"""The best model as a folder that plain timm loads."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from timm.models._hub import save_config_for_hf  # the public save_for_hf writes weights too
from torch import nn

from ecotui.engine.checkpoint import BEST_PREFIX, encode_json
from ecotui.engine.input_spec import InputSpec


def best_name(epoch: int, accuracy: float) -> str:
    """Return what the folder of an epoch's model is called.

    Args:
        epoch: From 1.
        accuracy: 0 to 1.
    """
    return f"{BEST_PREFIX}epoch{epoch}_acc{100 * accuracy:.2f}"


def timm_config(judged: nn.Module, spec: InputSpec, class_names: Sequence[str]) -> bytes:
    """Return the `config.json` from which timm builds the model with its preprocessing."""
    preprocessing = {
        "input_size": (3, spec.image_size, spec.image_size),
        "mean": spec.mean,
        "std": spec.std,
        "interpolation": spec.interpolation,
        "crop_pct": spec.crop_fraction,
    }
    with _scratch_file() as path:
        save_config_for_hf(
            judged,
            str(path),
            model_config={"label_names": list(class_names)},
            data_config=preprocessing,
        )
        record = json.loads(path.read_bytes())
    return encode_json(record)


@contextmanager
def _scratch_file() -> Iterator[Path]:
    """Lend a file for a block: in memory where there is such a thing, as disks can be full."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with open(os.memfd_create("config.json"), "wb") as file:
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.NamedTemporaryFile() as file:
            yield Path(file.name)

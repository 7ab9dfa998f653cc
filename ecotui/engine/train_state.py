"""The exact state of a training run as tensors and JSON, and back.

Everything that the next step depends on: weights and buffers, their moving
average, optimizer, gradient scaler, generators and the loop's counters. The
schedule is a function of the step, and order and augmentation are functions of
(seed, epoch, sample), so none of them needs saving.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from ecotui.engine.checkpoint import Tensors, encode_json, encode_tensors, snapshot

LOOP_FILE = "loop.json"
_GROUP_MARK = "group-"


@dataclass(slots=True)
class LoopState:
    """Where the loop stands; plain numbers and strings only.

    Attributes:
        step: Optimizer steps done.
        epoch: Epochs done, validation included.
        batch_in_epoch: Batches of the current epoch done.
        loss_sum: Of the current epoch's images so far, nats.
        hits: Images of the current epoch recognised so far.
        num_images: Images of the current epoch used so far.
        num_labelled: Of those, how many had one label (were not mixed).
        best_value: Of the chosen metric; None before the first validation.
        best_epoch: Epoch of `best_value`.
        best_checkpoint: Its folder's name.
        set_aside: Ids of samples that could not be used.
        seconds: Trained in earlier attempts.
    """

    step: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    loss_sum: float = 0.0
    hits: int = 0
    num_images: int = 0
    num_labelled: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    best_checkpoint: str | None = None
    set_aside: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def begin_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.batch_in_epoch = self.hits = self.num_images = self.num_labelled = 0
        self.loss_sum = 0.0


@dataclass(frozen=True, slots=True)
class Trainable:
    """The parts of a run that change while it trains.

    Attributes:
        network: The model.
        ema: timm's moving average, or None.
        optimizer: Over the network's parameters.
        scaler: Of gradients; switched off except in fp16.
    """

    network: nn.Module
    ema: Any
    optimizer: torch.optim.Optimizer
    scaler: Any


def collect_files(trainable: Trainable, loop: LoopState) -> dict[str, bytes]:
    """Return the files of a checkpoint of this very moment."""
    optimizer_tensors, groups = _pack_optimizer(trainable.optimizer)
    generators, generator_record = _pack_generators()
    record = {
        "loop": {**asdict(loop), "loss_sum": repr(loop.loss_sum)},
        "optimizer_groups": groups,
        "generators": generator_record,
        "scaler": trainable.scaler.state_dict(),
    }
    files = {
        "model.safetensors": encode_tensors(snapshot(trainable.network.state_dict())),
        "optim.safetensors": encode_tensors(snapshot(optimizer_tensors)),
        "generators.safetensors": encode_tensors(snapshot(generators)),
    }
    if trainable.ema is not None:
        files["ema.safetensors"] = encode_tensors(snapshot(trainable.ema.module.state_dict()))
    files[LOOP_FILE] = encode_json(record)
    return files


def restore(path: Path, trainable: Trainable) -> LoopState:
    """Put a verified checkpoint's state back; the generators last.

    Raises:
        RuntimeError: The weights are not those of this model.
    """
    record = json.loads((path / LOOP_FILE).read_bytes())
    trainable.network.load_state_dict(_load(path / "model.safetensors"))
    if trainable.ema is not None:
        trainable.ema.module.load_state_dict(_load(path / "ema.safetensors"))
    _unpack_optimizer(
        trainable.optimizer, _load(path / "optim.safetensors"), record["optimizer_groups"]
    )
    trainable.scaler.load_state_dict(record["scaler"])
    known = {entry.name for entry in fields(LoopState)}
    kept = {name: value for name, value in record["loop"].items() if name in known}
    loop = LoopState(**{**kept, "loss_sum": float(kept["loss_sum"])})
    _unpack_generators(_load(path / "generators.safetensors"), record["generators"])
    return loop


def load_weights(path: Path, network: nn.Module) -> None:
    """Load a folder's `model.safetensors` into a network, every name and shape exact."""
    network.load_state_dict(_load(path / "model.safetensors"))


def _load(path: Path) -> Tensors:
    loaded: Tensors = safetensors.torch.load_file(path)
    return loaded


def _pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[Tensors, list[dict[str, Any]]]:
    """Flatten an optimizer: tensors by `index.name`, groups and numbers as JSON."""
    state = optimizer.state_dict()
    tensors: Tensors = {}
    groups: list[dict[str, Any]] = []
    for number, group in enumerate(state["param_groups"]):
        # Some of timm's optimizers (lamb) count their steps in a tensor of the group.
        held = {key: value for key, value in group.items() if isinstance(value, torch.Tensor)}
        tensors.update({f"{_GROUP_MARK}{number}.{key}": value for key, value in held.items()})
        groups.append({key: value for key, value in group.items() if _is_plain(value)})
    numbers: dict[str, Any] = {}
    for index, entry in state["state"].items():
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                numbers[f"{index}.{name}"] = value
    return tensors, [*groups, {"numbers": numbers}]


def _unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Tensors, packed: list[dict[str, Any]]
) -> None:
    *groups, extra = packed
    current = optimizer.state_dict()
    merged = [
        {**now, **{key: _as_before(now.get(key), value) for key, value in saved.items()}}
        for now, saved in zip(current["param_groups"], groups, strict=True)
    ]
    state: dict[int, dict[str, Any]] = {}
    for source in (tensors, extra["numbers"]):
        for key, value in source.items():
            place, _, name = key.partition(".")
            if place.startswith(_GROUP_MARK):
                merged[int(place.removeprefix(_GROUP_MARK))][name] = value
            else:
                state.setdefault(int(place), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": merged})


def _as_before(now: object, saved: object) -> object:
    """JSON has no tuples: a list becomes one again where the optimizer holds one."""
    return tuple(saved) if isinstance(now, tuple) and isinstance(saved, list) else saved


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, bool | int | float | str)


def _pack_generators() -> tuple[Tensors, dict[str, Any]]:
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors: Tensors = {
        "torch_cpu": torch.random.get_rng_state(),
        "numpy_keys": torch.from_numpy(np.asarray(keys, dtype=np.uint32).astype(np.int64)),
        "python_internal": torch.tensor(internal, dtype=torch.int64),
    }
    for index in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        tensors[f"torch_cuda_{index}"] = torch.cuda.get_rng_state(index)
    if torch.backends.mps.is_available():
        tensors["torch_mps"] = torch.mps.get_rng_state()
    return tensors, {
        "python": [version, gauss],
        "numpy": [name, int(position), int(has_gauss), float(cached)],
    }


def _unpack_generators(tensors: Tensors, record: dict[str, Any]) -> None:
    version, gauss = record["python"]
    random.setstate((version, tuple(tensors["python_internal"].tolist()), gauss))
    name, position, has_gauss, cached = record["numpy"]
    keys = tensors["numpy_keys"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))
    torch.random.set_rng_state(tensors["torch_cpu"])
    for name_, state in tensors.items():
        if name_.startswith("torch_cuda_"):
            index = int(name_.removeprefix("torch_cuda_"))
            if index < torch.cuda.device_count():
                torch.cuda.set_rng_state(state, index)
        elif name_ == "torch_mps" and torch.backends.mps.is_available():
            torch.mps.set_rng_state(state)

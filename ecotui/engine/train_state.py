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

from ecotui.engine.checkpoint import encode_json
from ecotui.engine.tensors import Tensors, encode_tensors, snapshot

LOOP_FILE = "loop.json"
_GROUP_MARK = "group-"
_SPELT = frozenset({"loss_sum", "first_loss", "train_losses", "val_losses"})


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
        num_bad_in_a_row: Steps rejected directly before, their numbers not being finite.
        num_errors_in_a_row: Batches that raised directly before.
        num_batches: Of the current epoch, the skipped ones included.
        num_skipped_batches: Of the current epoch.
        num_samples: Taken in the current epoch, the lost ones included.
        num_lost_samples: Of them, set aside or in a skipped batch.
        first_loss: Mean training loss of the first reading of the run, nats.
        train_losses: Of the last epochs, oldest first, nats; `inf` where not finite.
        val_losses: Likewise, of the validations.
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
    num_bad_in_a_row: int = 0
    num_errors_in_a_row: int = 0
    num_batches: int = 0
    num_skipped_batches: int = 0
    num_samples: int = 0
    num_lost_samples: int = 0
    first_loss: float | None = None
    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)

    def begin_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.batch_in_epoch = self.hits = self.num_images = self.num_labelled = 0
        self.num_batches = self.num_skipped_batches = 0
        self.num_samples = self.num_lost_samples = 0
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
        "loop": _with_spelt_floats(asdict(loop)),
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
    loop = LoopState(**_with_read_floats(kept))
    _unpack_generators(_load(path / "generators.safetensors"), record["generators"])
    return loop


def _with_spelt_floats(record: dict[str, Any]) -> dict[str, Any]:
    """Spell the figures that may be infinite or NaN, for which JSON has no number."""
    spelt = dict(record)
    for name in _SPELT:
        value = record[name]
        spelt[name] = [repr(v) for v in value] if isinstance(value, list) else repr(value)
    return spelt


def _with_read_floats(record: dict[str, Any]) -> dict[str, Any]:
    read = dict(record)
    for name in _SPELT & record.keys():
        value = record[name]
        if isinstance(value, list):
            read[name] = [float(v) for v in value]
        else:
            read[name] = None if value == "None" else float(value)
    return read


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

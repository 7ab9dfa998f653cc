"""A saved state back into a run: compared with it first, so that it fits or changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import safetensors
import safetensors.torch
import torch
from torch import nn

from ecotui.engine.checkpoint import valid_steps
from ecotui.engine.generators import pack_generators, unpack_generators
from ecotui.engine.manifest import Manifest, decode_json, read_manifest, read_plain_file
from ecotui.engine.tensor_file import Entry, read_header
from ecotui.engine.tensors import Tensors, describe
from ecotui.engine.train_state import (
    EMA_FILE,
    GENERATORS_FILE,
    GROUP_MARK,
    LOOP_FILE,
    MODEL_FILE,
    OPTIMIZER_FILE,
    SPELT,
    Captured,
    LoopState,
    Trainable,
)

MAX_LOOP_BYTES = 268_435_456
"""A larger `loop.json` is not read; ten million samples set aside fit."""

_LIKE_ITS_PARAMETER = frozenset({"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"})


class MisfitError(Exception):
    """A sound checkpoint is not one of this model, optimizer or version."""


@dataclass(frozen=True, slots=True)
class Restorable:
    """A checkpoint that was read whole and fits; nothing is changed yet.

    Attributes:
        path: Where it lies.
        facts: What its manifest says.
        loop: Where the loop stood.
    """

    path: Path
    facts: dict[str, Any]
    loop: LoopState
    _held: dict[str, Tensors]
    _record: dict[str, Any]

    def apply(self, trainable: Trainable) -> LoopState:
        """Put the state back, the generators last, and return the loop's."""
        trainable.network.load_state_dict(self._held[MODEL_FILE])
        if trainable.ema is not None:
            trainable.ema.module.load_state_dict(self._held[EMA_FILE])
        _unpack_optimizer(
            trainable.optimizer, self._held[OPTIMIZER_FILE], self._record["optimizer_groups"]
        )
        trainable.scaler.load_state_dict(self._record["scaler"])
        unpack_generators(self._held[GENERATORS_FILE], self._record["generators"])
        return self.loop


def newest_restorable(
    folder: Path, trainable: Trainable, check: Callable[[dict[str, Any]], None]
) -> tuple[Restorable | None, list[str]]:
    """Return the newest checkpoint that verifies and fits, and what is wrong with newer ones.

    Args:
        folder: Where they lie. Damaged ones are moved to `quarantine/` in it; those
            that only do not fit stay.
        trainable: What is to be restored; left as it is.
        check: Gets a manifest's facts before anything is compared; what it raises
            is passed on.
    """
    told: list[str] = []
    for path, manifest in valid_steps(folder, told):
        check(manifest.facts)
        try:
            return prepare(path, manifest, trainable), told
        except MisfitError as error:
            told.append(f"{path.name}: {error}")
    return None, told


def restore(path: Path, trainable: Trainable) -> LoopState:
    """Put a verified checkpoint's state back.

    Raises:
        MisfitError: It is not one of this run; nothing was changed.
    """
    return prepare(path, read_manifest(path), trainable).apply(trainable)


def prepare(path: Path, manifest: Manifest, trainable: Trainable) -> Restorable:
    """Read a verified checkpoint and compare it with what it is to be restored into.

    Raises:
        MisfitError: It is not one of this run.
    """
    wanted = {MODEL_FILE, OPTIMIZER_FILE, GENERATORS_FILE, LOOP_FILE}
    wanted |= {EMA_FILE} if trainable.ema is not None else set()
    if missing := wanted - manifest.files.keys():
        raise MisfitError(f"it has no {', '.join(sorted(missing))}")
    try:
        _compare_weights(path / MODEL_FILE, trainable.network)
        if trainable.ema is not None:
            _compare_weights(path / EMA_FILE, trainable.ema.module)
        record = decode_json(read_plain_file(path / LOOP_FILE, MAX_LOOP_BYTES))
        loop = _read_loop(record["loop"])
        _compare_optimizer(trainable.optimizer, path / OPTIMIZER_FILE, record["optimizer_groups"])
        _compare_keys("gradient scaler", record["scaler"], trainable.scaler.state_dict())
        tensors = {name: _load(path / name) for name in wanted - {LOOP_FILE}}
        _try_generators(tensors[GENERATORS_FILE], record["generators"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise MisfitError(f"it cannot be read: {error}") from error
    except safetensors.SafetensorError as error:
        raise MisfitError(f"its tensors cannot be read: {error}") from error
    return Restorable(path, manifest.facts, loop, tensors, record)


def from_memory(held: Captured) -> Restorable:
    """Return the state of a copy in memory as one that can be applied; the copy stays whole.

    Raises:
        ValueError, KeyError, TypeError: It is no such copy.
    """
    record = decode_json(held.record)
    copied = {OPTIMIZER_FILE, GENERATORS_FILE}  # what is not copied into place when it is applied
    tensors = {
        file: {name: each.clone() for name, each in kept.items()} if file in copied else dict(kept)
        for file, kept in held.tensors.items()
    }
    return Restorable(Path("memory"), {}, _read_loop(record["loop"]), tensors, record)


def load_weights(path: Path, network: nn.Module) -> None:
    """Load a folder's `model.safetensors` into a network, every name and shape exact."""
    network.load_state_dict(_load(path / MODEL_FILE))


def _load(path: Path) -> Tensors:
    # Copied: what safetensors gives is mapped to the file, and reading it kills once that is cut.
    return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}


def _compare_weights(path: Path, network: nn.Module) -> None:
    saved, own = read_header(path), describe(network.state_dict())
    _compare_keys("weights", saved, own)
    for name, entry in own.items():
        if saved[name] != entry:
            raise MisfitError(f"{name} is {_told(saved[name])} in it and {_told(entry)} here")


def _told(entry: Entry) -> str:
    return f"{entry.dtype} {list(entry.shape)}"


def _compare_keys(what: str, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    if saved.keys() != own.keys():
        other = sorted(saved.keys() ^ own.keys())
        raise MisfitError(f"its {what} are others: {', '.join(other[:5])}")


def _compare_optimizer(
    optimizer: torch.optim.Optimizer, path: Path, packed: list[dict[str, Any]]
) -> None:
    *groups, extra = packed
    own = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own]:
        raise MisfitError("its optimizer has other groups of weights")
    weights = _parameters(optimizer)
    saved = read_header(path)
    for key in (*saved, *extra["numbers"]):
        place, _, name = key.partition(".")
        if place.startswith(GROUP_MARK):
            if not int(place.removeprefix(GROUP_MARK)) < len(groups):
                raise MisfitError(f"its optimizer has a state {key} for no group")
        elif not name or not 0 <= int(place) < len(weights):
            raise MisfitError(f"its optimizer has a state {key} for no weight")
        elif name in _LIKE_ITS_PARAMETER and saved[key].shape != tuple(weights[int(place)].shape):
            raise MisfitError(f"{key} of its optimizer has another shape than the weight")


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return the weights in the order of the optimizer's indices."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _read_loop(record: dict[str, Any]) -> LoopState:
    known = {entry.name for entry in fields(LoopState)}
    kept = {name: value for name, value in record.items() if name in known}
    for name in SPELT & kept.keys():
        value = kept[name]
        if isinstance(value, list):
            kept[name] = [float(v) for v in value]
        else:
            kept[name] = None if value == "None" else float(value)
    loop = LoopState(**kept)
    for name, hint in get_type_hints(LoopState).items():
        value = getattr(loop, name)
        is_misplaced = type(value) is bool and hint is not bool
        if is_misplaced or not isinstance(value, getattr(hint, "__origin__", hint)):
            raise ValueError(f"{name} of the loop is {value!r}")
    return loop


def _try_generators(tensors: Tensors, record: dict[str, Any]) -> None:
    """See whether the generators take the states, and put their own back."""
    own_tensors, own_record = pack_generators()
    try:
        unpack_generators(tensors, record)
    finally:
        unpack_generators(own_tensors, own_record)


def _unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Tensors, packed: list[dict[str, Any]]
) -> None:
    *groups, extra = packed
    current = optimizer.state_dict()
    merged = [
        {**now, **{key: _as_before(now.get(key), value) for key, value in saved.items()}}
        for now, saved in zip(current["param_groups"], groups, strict=True)
    ]
    weights = _parameters(optimizer)
    state: dict[int, dict[str, Any]] = {}
    for source in (tensors, extra["numbers"]):
        for key, value in source.items():
            place, _, name = key.partition(".")
            if place.startswith(GROUP_MARK):
                merged[int(place.removeprefix(GROUP_MARK))][name] = value
            else:
                index = int(place)
                state.setdefault(index, {})[name] = _laid_out_like(weights[index], value)
    optimizer.load_state_dict({"state": state, "param_groups": merged})


def _laid_out_like(weight: torch.Tensor, value: Any) -> Any:
    """Lay a state out in memory as its weight is.

    torch's fused optimizers walk through both as they lie: with a row-major state
    beside a channels-last weight they mix the elements up, without an error.
    """
    if not isinstance(value, torch.Tensor) or value.shape != weight.shape:
        return value
    laid_out = torch.empty_like(weight, dtype=value.dtype, device=value.device)
    return laid_out.detach().copy_(value)


def _as_before(now: object, saved: object) -> object:
    """JSON has no tuples: a list becomes one again where the optimizer holds one."""
    return tuple(saved) if isinstance(now, tuple) and isinstance(saved, list) else saved

"""Where in a file the weights of the model are, and what to call them.

Trainers wrap a state dict in their own way; the customs known here are those of
timm, Lightning, torch's own wrappers and torchvision's references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecotui.engine.foreign.specs import MAX_TENSORS, TensorSpec, is_plain_name, refused
from ecotui.text import listed, visible

WRAPPERS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("state_dict", "model_state_dict", "model", "net", "network", "weights"),
)
"""Keys that hold a state dict, the better one first: timm too prefers the average."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""What wrappers put before every name."""
COUNTERS = frozenset({"n_averaged"})
"""Tensors that wrappers add and no model has."""
CLASSIFIERS = (
    *("head.fc", "fc", "head", "classifier", "head.l", "last_linear", "classifier.fc"),
    *("fc.fc", "classif", "classifier.1", "classifier.3", "classifier.6", "head.3"),
)
"""Names of the last layer, the commonest first."""
_MAX_WRAPPED = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The state dict of a file.

    Attributes:
        keys: Under which it lies, the outermost first; empty where it is the file itself.
        names: Old name to new name, of each tensor taken.
        specs: By new name.
        num_left_out: Entries of the state dict that are no tensors.
    """

    keys: tuple[str, ...]
    names: Mapping[str, str]
    specs: Mapping[str, TensorSpec]
    num_left_out: int


def choose(found: Any, keys: tuple[str, ...] = ()) -> Chosen:
    """Find the state dict in what a file holds.

    Raises:
        RefusedFileError: There is none, or its names are no names of tensors.
    """
    if not isinstance(found, dict):
        raise refused("the file holds no table of weights")
    if len(keys) < _MAX_WRAPPED:
        for key in WRAPPERS:
            if isinstance(found.get(key), dict) and _holds_tensors(found[key]):
                return choose(found[key], (*keys, key))
    taken = {
        name: spec
        for name, spec in found.items()
        if isinstance(spec, TensorSpec) and name not in COUNTERS
    }
    if not taken:
        shown = listed(visible(key, limit=40) for key in found) or "nothing"
        raise refused(f"the file holds no state dict that is known; it holds {shown}")
    _check_names(taken)
    prefix = _shared_prefix(list(taken))
    names = {name: name.removeprefix(prefix) for name in taken}
    specs = {names[name]: spec for name, spec in taken.items()}
    return Chosen(keys, names, specs, len(found) - len(taken))


def classes_of(specs: Mapping[str, TensorSpec]) -> int | None:
    """Return how many classes the classifier tells apart; None where none is found."""
    for name in CLASSIFIERS:
        weight, bias = specs.get(f"{name}.weight"), specs.get(f"{name}.bias")
        if weight is None or len(weight.shape) not in (2, 4):
            continue
        if bias is None or bias.shape == weight.shape[:1]:
            return weight.shape[0]
    return None


def _holds_tensors(found: dict[Any, Any], depth: int = 0) -> bool:
    """Say whether a table holds tensors, or a known wrapper in it does."""
    if any(isinstance(each, TensorSpec) for each in found.values()):
        return True
    return depth < _MAX_WRAPPED and any(
        isinstance(found.get(key), dict) and _holds_tensors(found[key], depth + 1)
        for key in WRAPPERS
    )


def _check_names(taken: Mapping[Any, TensorSpec]) -> None:
    if len(taken) > MAX_TENSORS:
        raise refused(f"the state dict lists {len(taken):,} tensors")
    for name in taken:
        if not isinstance(name, str) or not is_plain_name(name):
            raise refused(f"'{visible(name, limit=80)}' is no name of a tensor")


def _shared_prefix(names: list[str]) -> str:
    """Return what known wrappers put before every name, one inside the other."""
    prefix = ""
    while True:
        rest = [name.removeprefix(prefix) for name in names]
        more = next((p for p in PREFIXES if all(each.startswith(p) for each in rest)), "")
        if not more or any(each == more for each in rest):
            return prefix
        prefix += more

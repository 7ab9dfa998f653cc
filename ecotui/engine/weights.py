"""Weights of a file put into a model: what fits is taken, and what does not is told."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from ecotui.engine.foreign.header import read_header
from ecotui.engine.foreign.specs import RefusedFileError
from ecotui.errors import UsageError
from ecotui.text import counted, listed, visible

MIN_FITTING_FRACTION = 0.5
"""Below this share of the model's tensors a file is taken for that of another model."""
_CHUNK_BYTES = 4_194_304
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a file's tensors and a model's compare.

    Attributes:
        taken: Names of the model's tensors that the file has in the same shape.
        missing: The model's tensors that the file does not have.
        misshapen: Those it has in another shape, the classifier's apart.
        surplus: The file's tensors that the model does not have.
        classifier: The classifier's that are of another shape: for other classes.
    """

    taken: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    surplus: tuple[str, ...]
    classifier: tuple[str, ...]

    @property
    def num_wanted(self) -> int:
        """Tensors of the model."""
        absent = len(self.missing) + len(self.misshapen) + len(self.classifier)
        return len(self.taken) + absent

    @property
    def is_close(self) -> bool:
        """Whether the file is that of this model, rather than of another one."""
        return len(self.taken) >= MIN_FITTING_FRACTION * self.num_wanted


@dataclass(frozen=True, slots=True)
class Loaded:
    """Weights that were put into a model.

    Attributes:
        sha256: Of the file.
        fit: How they and the model compare.
    """

    sha256: str
    fit: Fit


def compare(found: Shapes, network: nn.Module) -> Fit:
    """Compare names and shapes of a file's tensors with those of a model."""
    wanted = shapes_of(network.state_dict())
    head = _classifier_names(network)
    taken = [name for name, shape in wanted.items() if found.get(name) == shape]
    misshapen = [name for name, shape in wanted.items() if found.get(name, shape) != shape]
    return Fit(
        taken=tuple(taken),
        missing=tuple(name for name in wanted if name not in found),
        misshapen=tuple(name for name in misshapen if name not in head),
        surplus=tuple(name for name in found if name not in wanted),
        classifier=tuple(name for name in misshapen if name in head),
    )


def load_file(path: Path, network: nn.Module, model_name: str, *, source: str = "") -> Loaded:
    """Put the weights of a safetensors file into a model.

    Args:
        path: The file.
        network: The model; what does not fit stays as it is.
        model_name: What to call it.
        source: What to call the file; its path where empty.

    Raises:
        UsageError: It is no such file, or that of another model.
    """
    tensors, digest = _read(path)
    fit = compare(shapes_of(tensors), network)
    if fit.missing or fit.misshapen:
        tensors, fit = _converted(tensors, fit, network)
    _require_fit(fit, source or str(path), model_name)
    network.load_state_dict({name: tensors[name] for name in fit.taken}, strict=False)
    return Loaded(digest, fit)


def told(fit: Fit) -> tuple[str, ...]:
    """Return what of a file was not taken, and what of a model begins anew, in words."""
    notes = []
    if fit.classifier:
        notes.append(
            f"its classifier is for other classes and begins anew: {_some(fit.classifier)}"
        )
    absent = (*fit.missing, *fit.misshapen)
    if absent:
        notes.append(f"not in it, or in another shape, and begins anew: {_some(absent)}")
    if fit.surplus:
        notes.append(f"in it, but not in the model: {_some(fit.surplus)}")
    return tuple(notes)


def _require_fit(fit: Fit, source: str, model_name: str) -> None:
    if fit.is_close:
        return
    absent = (*fit.missing, *fit.misshapen)
    found = f"; it has {_some(fit.surplus)} instead" if fit.surplus else ""
    raise UsageError(
        f"{visible(source)} has the weights of another model: only {len(fit.taken)} of "
        f"{counted(fit.num_wanted, 'tensor')} fit, and {_some(absent)} are missing{found}",
        f"weights of {visible(model_name)}",
        "name the model that they were trained for in model.name, or another file",
    )


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    expected = "a .safetensors file, such as ecotui import-weights writes"
    try:
        with path.open("rb") as file:
            read_header(file)
            file.seek(0)
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        loaded: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"model.weights = {visible(path)} cannot be read: {visible(reason)}",
            expected,
            "correct model.weights",
        ) from None
    except (RefusedFileError, safetensors.SafetensorError) as error:
        raise UsageError(
            f"model.weights = {visible(path)} is no sound safetensors file ({visible(error)})",
            expected,
            f"bring it into that form: ecotui import-weights {visible(path)}",
        ) from None
    return loaded, digest.hexdigest()


def _converted(
    tensors: dict[str, torch.Tensor], fit: Fit, network: nn.Module
) -> tuple[dict[str, torch.Tensor], Fit]:
    """Have timm rename and resize what it knows of this family, where that fits better.

    It fits the positions of a vision transformer to another input size, and the names
    that the model's authors gave to those of timm.
    """
    family = sys.modules.get(type(network).__module__)
    convert: Callable[..., Any] | None = getattr(family, "checkpoint_filter_fn", None)
    if convert is None:
        return tensors, fit
    try:
        converted: dict[str, torch.Tensor] = dict(convert(dict(tensors), network))
        better = compare(shapes_of(converted), network)
    except Exception:  # Made for files of its own family: any other may end it in any way.
        return tensors, fit
    return (converted, better) if len(better.taken) > len(fit.taken) else (tensors, fit)


def _classifier_names(network: nn.Module) -> frozenset[str]:
    get_classifier: Any = getattr(network, "get_classifier", lambda: None)
    classifier: Any = get_classifier()
    heads = classifier if isinstance(classifier, tuple) else (classifier,)
    owned = {
        id(weight) for head in heads if isinstance(head, nn.Module) for weight in head.parameters()
    }
    return frozenset(name for name, weight in network.named_parameters() if id(weight) in owned)


def _some(names: tuple[str, ...]) -> str:
    return listed((visible(name, limit=80) for name in names), limit=4)

"""The model, from timm: built by name, fitted to the classes and the input size.

Checks by a real forward pass that the model takes the size asked for, so that a
mismatch of sizes is found before the first stage and never in the training loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import timm.data
import timm.utils
import torch
from torch import nn

from ecotui.config import DataConfig, ModelConfig, TrainConfig
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.weights import Fit, load_file, told
from ecotui.errors import UsageError
from ecotui.text import counted, listed, nearest, visible

_UNEXPECTED_ARGUMENT = re.compile(r"unexpected keyword argument '(\w+)'")


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model ready for its data.

    Attributes:
        network: Takes float32 images [B, 3, S, S], gives logits [B, K].
        spec: The input it takes.
        notes: What was decided while building, in words.
        weights_sha256: Of the file of `model.weights`, where one was loaded.
        has_trained_head: Whether the classifier, too, begins from weights that were trained.
    """

    network: nn.Module
    spec: InputSpec
    notes: tuple[str, ...]
    weights_sha256: str | None = None
    has_trained_head: bool = False


def build_model(
    config: ModelConfig,
    data: DataConfig,
    num_classes: int,
    *,
    has_state: bool = False,
    published: Path | None = None,
) -> BuiltModel:
    """Build a timm model for a number of classes and an input size.

    Args:
        config: Name, weights, drop rates.
        data: Input size and preprocessing that the person overrides.
        num_classes: K, the size of the head.
        has_state: A checkpoint is about to be restored: no weights to start from are needed.
        published: The file of the published weights; timm looks for it itself where None.

    Raises:
        UsageError: No such model, or it cannot be built or run as asked.
    """
    preset = preset_of(config.name)
    own_file = None if config.weights is None else Path(config.weights)
    if not wants_published(config, has_state=has_state):
        config = config.model_copy(update={"pretrained": False})
    own_size = int(preset["input_size"][1])
    size = own_size if data.image_size == "auto" else data.image_size
    network, notes = _create(config, num_classes, size, own_size, published)
    spec = _input_spec(network, data, size)
    _check_forward(network, config.name, size, own_size, num_classes)
    if config.gradient_checkpointing:
        _enable_checkpointing(network, config.name)
    if has_state or own_file is None:
        is_whole = has_state or (config.pretrained and preset.get("num_classes") == num_classes)
        return BuiltModel(network, spec, notes, has_trained_head=is_whole)
    loaded = load_file(own_file, network, config.name)
    start = (
        f"begun from {visible(own_file)} (sha256 {loaded.sha256[:16]}), of which "
        f"{len(loaded.fit.taken)} of {counted(loaded.fit.num_wanted, 'tensor')} fit; published "
        "weights (model.pretrained) are not used"
    )
    is_whole = not loaded.fit.classifier and not loaded.fit.missing
    return BuiltModel(
        network, spec, (*notes, start, *told(loaded.fit)), loaded.sha256, has_trained_head=is_whole
    )


def wants_published(config: ModelConfig, *, has_state: bool) -> bool:
    """Say whether a model is to begin from its published weights.

    Args:
        config: Of the model.
        has_state: A checkpoint is about to be restored.
    """
    return config.pretrained and not has_state and config.weights is None


def compare_with(name: str, path: Path, num_classes: int | None, source: str) -> Fit:
    """Say how well the weights of a safetensors file fit a model, without training anything.

    Args:
        name: Of the model.
        path: The file.
        num_classes: Of the classifier in it; the model's own number where None.
        source: What to call the file.

    Raises:
        UsageError: No such model, or the weights are those of another one.
    """
    _require_name(name)
    wanted = {} if num_classes is None else {"num_classes": num_classes}
    network: nn.Module = timm.create_model(name, pretrained=False, **wanted)
    return load_file(path, network, name, source=source).fit


def make_ema(network: nn.Module, config: TrainConfig) -> Any:
    """Return timm's moving average of the weights; its decay warms up from zero."""
    return timm.utils.ModelEmaV3(network, decay=config.ema_decay, use_warmup=True)


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights that training can change."""
    return sum(parameter.numel() for parameter in network.parameters())


def split_head(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Module]]:
    """Return the parameters and the modules that do not belong to the classifier.

    Raises:
        UsageError: The model does not tell which part is its classifier.
    """
    get_classifier: Any = getattr(network, "get_classifier", lambda: None)
    classifier: Any = get_classifier()
    heads = classifier if isinstance(classifier, tuple) else (classifier,)
    if not all(isinstance(head, nn.Module) for head in heads):
        raise UsageError(
            "this model does not tell which part is its classifier",
            "a model whose backbone can be frozen",
            "set train.freeze_epochs = 0",
        )
    head_modules = {id(module) for head in heads for module in head.modules()}
    head_parameters = {id(weight) for head in heads for weight in head.parameters()}
    backbone = [weight for weight in network.parameters() if id(weight) not in head_parameters]
    modules = [module for module in network.modules() if id(module) not in head_modules]
    return backbone, modules


def _require_name(name: str) -> None:
    if ":" not in name and "/" not in name and timm.is_model(name):
        return
    architecture = name.partition(".")[0]
    close = nearest(architecture, timm.list_models(), count=4)
    raise UsageError(
        f"there is no model '{visible(name)}' in timm {timm.__version__}",
        f"one of its {len(timm.list_models()):,} model names",
        f"did you mean {listed(close)}?" if close else "set model.name, such as 'resnet18'",
    )


def preset_of(name: str) -> dict[str, Any]:
    """Return what timm publishes about a model, without building it.

    Raises:
        UsageError: timm has no such model.
    """
    _require_name(name)
    preset = timm.get_pretrained_cfg(name)
    return {} if preset is None else dict(preset.to_dict())


def _create(
    config: ModelConfig, num_classes: int, size: int, own_size: int, published: Path | None
) -> tuple[nn.Module, tuple[str, ...]]:
    wanted: dict[str, Any] = {"pretrained": config.pretrained, "num_classes": num_classes}
    if config.drop_rate is not None:
        wanted["drop_rate"] = config.drop_rate
    if config.drop_path_rate is not None:
        wanted["drop_path_rate"] = config.drop_path_rate
    if size != own_size:
        wanted["img_size"] = size
    if config.pretrained and published is not None:
        # Read from there, with no further question to any server.
        wanted["pretrained_cfg_overlay"] = {"file": str(published)}
    try:
        network = _create_without_surplus(config.name, wanted)
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise _size_error(config.name, size, own_size, error) from error
    if "img_size" in wanted:
        return network, (f"{config.name} is built for {size} x {size} instead of {own_size}",)
    if size != own_size:
        return network, (f"{config.name} takes {size} x {size} as it takes any size",)
    return network, ()


def _create_without_surplus(name: str, wanted: dict[str, Any]) -> nn.Module:
    """Create the model, leaving out the input size where the model has no such argument."""
    while True:
        try:
            network: nn.Module = timm.create_model(name, **wanted)
        except TypeError as error:
            match = _UNEXPECTED_ARGUMENT.search(str(error))
            argument = match.group(1) if match else ""
            if argument == "img_size":
                del wanted["img_size"]
                continue
            if argument in wanted:
                raise UsageError(
                    f"model '{name}' has no {argument}",
                    "settings that the model takes",
                    f"remove model.{argument}",
                ) from error
            raise
        return network


def _input_spec(network: nn.Module, data: DataConfig, size: int) -> InputSpec:
    own = timm.data.resolve_data_config({}, model=network)
    return InputSpec(
        image_size=size,
        mean=tuple(own["mean"]),
        std=tuple(own["std"]),
        interpolation=own["interpolation"] if data.interpolation == "auto" else data.interpolation,
        crop_fraction=float(own["crop_pct"])
        if data.crop_fraction == "auto"
        else data.crop_fraction,
    )


def _check_forward(
    network: nn.Module, name: str, size: int, own_size: int, num_classes: int
) -> None:
    was_training = network.training
    try:
        with torch.inference_mode():
            logits_BK = network.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError, IndexError) as error:
        raise _size_error(name, size, own_size, error) from error
    finally:
        network.train(was_training)
    if tuple(logits_BK.shape) != (1, num_classes):
        raise UsageError(
            f"model '{name}' gives {tuple(logits_BK.shape)} for one image",
            f"(1, {num_classes}): a score for each class",
            "set model.name to an image classifier",
        )


def _size_error(name: str, size: int, own_size: int, error: BaseException) -> UsageError:
    return UsageError(
        f"model '{name}' cannot take images of {size} x {size} pixels "
        f"({visible(error, limit=160)})",
        f"a size that suits it; it was made for {own_size} x {own_size}",
        f"--set data.image_size={own_size} (or auto)",
    )


def _enable_checkpointing(network: nn.Module, name: str) -> None:
    try:
        network.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AssertionError, AttributeError, TypeError) as error:
        raise UsageError(
            f"model '{name}' has no gradient checkpointing",
            "a model that can recompute its activations",
            "set model.gradient_checkpointing = false",
        ) from error

"""The model, from timm: built by name, fitted to the classes and the input size.

Checks by a real forward pass that the model takes the size asked for, so that a
mismatch of sizes is found before the first stage and never in the training loop.
"""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import timm
import timm.data
import timm.utils
import torch
from torch import nn

from ecotui.config import DataConfig, ModelConfig, TrainConfig
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.weights import Fit, load_file, told
from ecotui.errors import EnvironmentFaultError, UsageError
from ecotui.text import counted, listed, nearest, visible

HUB_TIMEOUT_SECONDS = 8.0
"""How long the weights' server may take to answer before the run is refused.

The hub's own client tries again for about a minute before it gives up.
"""

_UNEXPECTED_ARGUMENT = re.compile(r"unexpected keyword argument '(\w+)'")
_WEIGHT_FILES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model ready for its data.

    Attributes:
        network: Takes float32 images [B, 3, S, S], gives logits [B, K].
        spec: The input it takes.
        notes: What was decided while building, in words.
        weights_sha256: Of the file of `model.weights`, where one was loaded.
    """

    network: nn.Module
    spec: InputSpec
    notes: tuple[str, ...]
    weights_sha256: str | None = None


def build_model(
    config: ModelConfig, data: DataConfig, num_classes: int, *, has_state: bool = False
) -> BuiltModel:
    """Build a timm model for a number of classes and an input size.

    Args:
        config: Name, weights, drop rates.
        data: Input size and preprocessing that the person overrides.
        num_classes: K, the size of the head.
        has_state: A checkpoint is about to be restored: no weights to start from are needed.

    Raises:
        UsageError: No such model, or it cannot be built or run as asked.
        EnvironmentFaultError: Published weights are asked for and cannot be had.
    """
    _require_name(config.name)
    preset = _preset(config.name)
    own_file = None if config.weights is None else Path(config.weights)
    if has_state or own_file is not None:
        config = config.model_copy(update={"pretrained": False})
    if config.pretrained:
        require_weights(config.name, preset)
    own_size = int(preset["input_size"][1])
    size = own_size if data.image_size == "auto" else data.image_size
    network, notes = _create(config, num_classes, size, own_size)
    spec = _input_spec(network, data, size)
    _check_forward(network, config.name, size, own_size, num_classes)
    if config.gradient_checkpointing:
        _enable_checkpointing(network, config.name)
    if has_state or own_file is None:
        return BuiltModel(network, spec, notes)
    loaded = load_file(own_file, network, config.name)
    start = (
        f"begun from {visible(own_file)} (sha256 {loaded.sha256[:16]}), of which "
        f"{len(loaded.fit.taken)} of {counted(loaded.fit.num_wanted, 'tensor')} fit; published "
        "weights (model.pretrained) are not used"
    )
    return BuiltModel(network, spec, (*notes, start, *told(loaded.fit)), loaded.sha256)


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


def require_weights(name: str, preset: dict[str, Any]) -> None:
    """Refuse at once where published weights cannot be had.

    Raises:
        UsageError: Nobody published weights for this model.
        EnvironmentFaultError: They are not in the cache and the server is out of reach.
    """
    hub_id, url = preset.get("hf_hub_id"), preset.get("url")
    if not hub_id and not url:
        tagged = timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)
        raise UsageError(
            f"there are no published weights for model '{visible(name)}'",
            "a model with weights, or training from scratch",
            f"set model.pretrained = false, or model.name to {listed(tagged)}"
            if tagged
            else "set model.pretrained = false",
        )
    if hub_id and _is_cached(str(hub_id)):
        return
    address = huggingface_hub.constants.ENDPOINT if hub_id else str(url)
    reason = _unreachable(address)
    if reason:
        raise EnvironmentFaultError(
            f"the published weights of '{visible(name)}' are not on this machine, and "
            f"{visible(address)} cannot be reached ({visible(reason)})",
            "a network connection, or the weights in the cache "
            f"({visible(huggingface_hub.constants.HF_HUB_CACHE)})",
            "connect once, set HF_ENDPOINT to a mirror or HF_HOME to a filled cache, or train "
            "from scratch: --set model.pretrained=false",
        )


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


def _preset(name: str) -> dict[str, Any]:
    """Return what timm publishes about a model, without building it."""
    preset = timm.get_pretrained_cfg(name)
    return {} if preset is None else dict(preset.to_dict())


def _create(
    config: ModelConfig, num_classes: int, size: int, own_size: int
) -> tuple[nn.Module, tuple[str, ...]]:
    wanted: dict[str, Any] = {"pretrained": config.pretrained, "num_classes": num_classes}
    if config.drop_rate is not None:
        wanted["drop_rate"] = config.drop_rate
    if config.drop_path_rate is not None:
        wanted["drop_path_rate"] = config.drop_path_rate
    if size != own_size:
        wanted["img_size"] = size
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
        f"set data.image_size = {own_size} (or 'auto')",
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


def _is_cached(hub_id: str) -> bool:
    repository, _, revision = hub_id.partition("@")
    return any(
        isinstance(
            huggingface_hub.try_to_load_from_cache(repository, file, revision=revision or None), str
        )
        for file in _WEIGHT_FILES
    )


def _unreachable(address: str) -> str:
    """Return why an address cannot be reached within the time-out; empty when it can.

    In a thread, because looking a name up has no time-out of its own.
    """
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    outcome: list[str] = []
    asking = threading.Thread(target=lambda: outcome.append(_ask(address)), daemon=True)
    asking.start()
    asking.join(HUB_TIMEOUT_SECONDS)
    return outcome[0] if outcome else f"no answer within {HUB_TIMEOUT_SECONDS:.0f} s"


def _ask(address: str) -> str:
    if not address.startswith(("http://", "https://")):
        return "not a web address"
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except OSError as error:
        return str(getattr(error, "reason", error))

"""Features of photos from a model: the chosen backbone's, or that of a trained run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from ecotui.config import AugmentConfig, RunConfig
from ecotui.config_file import parse_file
from ecotui.engine import checkpoint
from ecotui.engine.audit.previews import small_picture
from ecotui.engine.data.decode import decode
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.model import BuiltModel, build_model, preset_of
from ecotui.engine.published import cached
from ecotui.errors import UsageError
from ecotui.paths import RunDir
from ecotui.text import visible

PLAIN_SIDE = 96
"""Pixels of the pictures that features without a model are made of."""

_AT_ONCE = 32


class Backbone:
    """A model that makes features of photos.

    Args:
        built: With weights that mean something.
        name: What to call it, for a person.
    """

    def __init__(self, built: BuiltModel, name: str) -> None:
        self.name = name
        self._network = built.network.eval()
        self._transforms = build_transforms(built.spec, AugmentConfig())

    @torch.inference_mode()
    def features(
        self, paths: Sequence[Path], max_pixels: int, poll: Callable[[], None]
    ) -> torch.Tensor:
        """Return features before the classifier, float32 `[N, D]`.

        Args:
            paths: Of photos that can be read.
            max_pixels: Largest photo that is decoded.
            poll: Called between batches; what it raises ends the work.
        """
        found = []
        for start in range(0, len(paths), _AT_ONCE):
            poll()
            images = [
                self._transforms.evaluate(decode(path, max_pixels=max_pixels))
                for path in paths[start : start + _AT_ONCE]
            ]
            found.append(
                _before_classifier(
                    self._network, self._transforms.normalisation(torch.stack(images))
                ).float()
            )
        return torch.cat(found)


def backbone_of_run(path: Path) -> Backbone:
    """Return the best model of a run.

    Raises:
        UsageError: It has none, or none that can be relied on.
    """
    run = RunDir(path)
    best = checkpoint.find_best(run.checkpoints)
    if best is None:
        raise UsageError(
            f"run {visible(run.run_id)} has no best model yet",
            "a run that has finished at least one validation",
            "let it train for an epoch, or leave --run out",
        )
    try:
        checkpoint.verify(best)
    except checkpoint.BadCheckpointError as error:
        raise UsageError(
            f"{visible(best)} is damaged: {visible(error)}",
            "the files that were saved",
            "choose another run, or leave --run out",
        ) from None
    weights = safetensors.torch.load_file(best / "model.safetensors")
    config = parse_file(run.resolved)
    built = build_model(config.model, config.data, _num_classes(run), has_state=True)
    built.network.load_state_dict(weights)
    return Backbone(built, f"the best model of {visible(run.run_id)}")


def chosen_backbone(config: RunConfig, num_classes: int) -> Backbone | None:
    """Return the configured model where weights for it are at hand; None otherwise.

    At hand are those of a local file, and published ones that were fetched before. None are
    fetched here: an audit of labels must not wait for a download.

    Raises:
        UsageError: The model cannot be built.
    """
    name, published = visible(config.model.name), None
    if config.model.weights is None:
        published = cached(preset_of(config.model.name)) if config.model.pretrained else None
        if published is None:
            return None
    built = build_model(config.model, config.data, num_classes, published=published)
    source = "its published weights" if published else visible(config.model.weights)
    return Backbone(built, f"{name} with {source}")


def plain_pictures(
    paths: Sequence[Path], max_pixels: int, poll: Callable[[], None]
) -> torch.Tensor:
    """Return photos as small squares, uint8 `[N, 3, S, S]`."""
    pictures = torch.empty(len(paths), 3, PLAIN_SIDE, PLAIN_SIDE, dtype=torch.uint8)
    for place, path in enumerate(paths):
        if not place % _AT_ONCE:
            poll()
        square = small_picture(path, max_pixels=max_pixels).resize((PLAIN_SIDE, PLAIN_SIDE))
        flat = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8)
        pictures[place] = flat.reshape(PLAIN_SIDE, PLAIN_SIDE, 3).permute(2, 0, 1)
    return pictures


def _before_classifier(network: nn.Module, images_BCHW: torch.Tensor) -> torch.Tensor:
    features = network.forward_features(images_BCHW)  # type: ignore[operator]
    pooled: torch.Tensor = network.forward_head(features, pre_logits=True)  # type: ignore[operator]
    return pooled.flatten(1)


def _num_classes(run: RunDir) -> int:
    with run.split.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return len({row["label"] for row in csv.DictReader(file)})

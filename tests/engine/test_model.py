"""Models are built by name, fitted to size and classes, and refused in plain words."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ecotui.config import DataConfig, ModelConfig
from ecotui.engine.model import build_model, count_parameters, split_head
from ecotui.errors import UsageError


def build(name: str = "test_resnet", size: int | str = 32, classes: int = 3, **rest: Any) -> Any:
    data = DataConfig.model_validate({"root": "x", "image_size": size})
    return build_model(ModelConfig(name=name, pretrained=False, **rest), data, num_classes=classes)


def test_the_head_has_the_classes_and_the_spec_the_size_asked_for() -> None:
    built = build()
    assert built.network(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert built.spec.image_size == 32
    assert built.spec.mean == (0.5, 0.5, 0.5)
    assert built.network.training


def test_auto_takes_the_size_the_model_was_made_for() -> None:
    assert build(size="auto").spec.image_size == 160


def test_a_vision_transformer_is_built_at_another_size_and_says_so() -> None:
    built = build("test_vit", size=64)
    assert built.network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert built.notes == ("test_vit is built for 64 x 64 instead of 160",)


@pytest.mark.parametrize("name", ["test_vit", "mixer_s16_224"])
def test_a_size_the_model_cannot_take_names_the_setting(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(name, size=8)
    assert "8 x 8" in caught.value.what
    assert "data.image_size" in caught.value.remedy


def test_a_misspelt_model_gets_the_nearest_names() -> None:
    with pytest.raises(UsageError) as caught:
        build("resnt18")
    assert "resnet18" in caught.value.remedy


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "local-dir:/tmp", "../resnet18"])
def test_names_that_would_load_foreign_code_or_files_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        build(name)


def test_drop_rates_reach_the_model_and_unknown_ones_are_refused() -> None:
    assert build(drop_rate=0.25).network.drop_rate == 0.25
    with pytest.raises(UsageError) as caught:
        build("vgg11", drop_path_rate=0.1)
    assert "drop_path_rate" in caught.value.what


def test_freezing_tells_the_classifier_from_the_backbone() -> None:
    network = build(classes=5).network
    backbone, modules = split_head(network)
    head = sum(weight.numel() for weight in network.get_classifier().parameters())
    assert sum(weight.numel() for weight in backbone) == count_parameters(network) - head
    assert network.get_classifier() not in modules

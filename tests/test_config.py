"""The settings: strict, frozen, documented, and described by a schema that agrees with them."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from ecotui.config import RunConfig
from ecotui.paths import shipped_configs


def fields(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


@pytest.mark.parametrize("key", [key for key, _ in fields()])
def test_every_field_is_documented(key: str) -> None:
    description = dict(fields())[key].description
    assert description
    assert (
        description[0] == "`"
        or description[0].isupper()
        or description.startswith(("timm", "torch"))
    )


@pytest.mark.parametrize(
    ("key", "default"),
    [(key, field.default) for key, field in fields()],
    ids=str,
)
def test_every_default_is_itself_valid(key: str, default: object) -> None:
    section, _, name = key.rpartition(".")
    table = {section: {name: default}} if section else {name: default}
    assert RunConfig.model_validate(table) == RunConfig()


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().train.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "table",
    [
        {"train": {"epochs": "3"}},
        {"train": {"epochs": 3.0}},
        {"train": {"epochs": True}},
        {"train": {"ema": 1}},
        {"train": {"learning_rate": float("nan")}},
        {"train": {"learning_rate": float("inf")}},
        {"train": {"clip_gradient_norm": 0}},
        {"train": {"clip_gradient_norm": "none"}},
        {"train": {"seed": -1}},
        {"augment": {"scale": [0.9, 0.1]}},
        {"augment": {"scale": [0.0, 0.0]}},
        {"augment": {"scale": ["0.1", 0.2]}},
        {"compute": {"device": "cuda:"}},
        {"compute": {"device": "cpu\n"}},
        {"name": "a/b"},
        {"name": "a\n"},
        {"nme": "a"},
        {"train": []},
    ],
)
def test_what_does_not_fit_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunConfig.model_validate(table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"data": {"manifest": "a.csv", "layout": "lists"}}, "contradict each other"),
        ({"data": {"layout": "manifest"}}, "needs data.manifest"),
        ({"data": {"val_fraction": 0.5, "test_fraction": 0.5}}, "nothing to train on"),
        ({"train": {"epochs": 2, "freeze_epochs": 3}}, "is more than"),
        ({"train": {"min_learning_rate": 1.0}}, "above train.learning_rate"),
        (
            {"data": {"sampling": "balanced"}, "train": {"class_weights": "balanced"}},
            "doubles the effect",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RunConfig.model_validate(table)


def test_a_whole_number_may_stand_for_a_float() -> None:
    config = RunConfig.model_validate({"train": {"learning_rate": 1, "warmup_epochs": 2}})
    assert config.train.learning_rate == 1.0


def test_clipping_can_be_switched_off_and_read_back() -> None:
    config = RunConfig.model_validate({"train": {"clip_gradient_norm": "off"}})
    assert config.train.clip_gradient_norm is None
    assert RunConfig.model_validate(config.model_dump()) == config
    assert config.model_dump()["train"]["clip_gradient_norm"] == "off"


SHIPPED = shipped_configs()
SCHEMA = RunConfig.model_json_schema()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_fits_the_schema_and_the_model(name: str) -> None:
    table = tomllib.loads(SHIPPED[name].read_text(encoding="utf-8"))
    jsonschema.validate(table, SCHEMA)
    RunConfig.model_validate(table)


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("table", "fits"),
    [
        ({"train": {"clip_gradient_norm": "off"}}, True),
        ({"train": {"clip_gradient_norm": 0.5}}, True),
        ({"train": {"clip_gradient_norm": 0}}, False),
        ({"train": {"epochs": 0}}, False),
        ({"train": {"epoch": 1}}, False),
        ({"compute": {"channels_last": "auto"}}, True),
        ({"augment": {"scale": [0.1, 0.2]}}, True),
        ({"augment": {"scale": [0.1]}}, False),
        ({"compute": {"device": "tpu"}}, False),
    ],
)
def test_the_schema_judges_as_the_model_does(table: dict[str, Any], fits: bool) -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(table) == fits
    if fits:
        RunConfig.model_validate(table)
    else:
        with pytest.raises(ValidationError):
            RunConfig.model_validate(table)


def test_literals_are_lower_case_words() -> None:
    for key, field in fields():
        for part in (field.annotation, *typing.get_args(field.annotation)):
            if typing.get_origin(part) is typing.Literal:
                assert all(word == word.lower() for word in typing.get_args(part)), key

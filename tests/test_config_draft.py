"""Configurations as they are edited: judged, defaulted, and written without losing remarks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.config import RunConfig
from ecotui.config_draft import Draft
from ecotui.config_file import load_config
from ecotui.errors import UsageError
from ecotui.notify_settings import WEBHOOK_KEY
from ecotui.paths import shipped_configs

OWN = """# Mine.

[data]
root = "photos"  # beside this file

[train]
epochs = 7 # enough
betas = 1
"""


def own(tmp_path: Path, source: str = OWN.replace("betas = 1\n", "")) -> Draft:
    path = tmp_path / "mine.toml"
    path.write_text(source)
    return Draft.of(str(path))


def value_of(draft: Draft, key: str) -> str:
    return next(field.value for field in draft.fields() if field.key == key)


def test_every_setting_has_its_meaning_its_value_and_its_default() -> None:
    fields = {field.key: field for field in Draft.of("digits").fields()}
    assert fields["train.epochs"].value == "12"
    assert fields["train.epochs"].default == "20"
    assert fields["train.scheduler"].choices[:2] == ("cosine", "tanh")
    assert fields["train.ema"].choices == ("true", "false")
    assert fields["train.max_steps"].value == "unset"
    assert all(field.about for field in fields.values())
    assert len(fields) > 60


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("train.epochs", "x", "a whole number"),
        ("train.epochs", "0", "greater than or equal to 1"),
        ("train.scheduler", "cosin", "'cosine'"),
        ("train.min_learning_rate", "1", "train.min_learning_rate is above"),
        ("train.epochs", "3", ""),
        ("model.name", "resnet50", ""),
        ("train.max_steps", "", ""),
        ("augment.scale", "[0.5, 1.0]", ""),
        ("augment.scale", "[1.0, 0.5]", "must be [smallest, largest]"),
    ],
)
def test_an_edit_is_judged_in_words_before_it_is_taken(key: str, written: str, words: str) -> None:
    fault = Draft.of("digits").fault(key, written)
    assert words in fault
    assert bool(fault) == bool(words)
    assert "ValueError" not in fault
    assert "pydantic" not in fault


def test_an_empty_text_goes_back_to_the_default_and_undo_to_what_stood_there() -> None:
    draft = Draft.of("digits").edited("train.epochs", "3")
    assert value_of(draft, "train.epochs") == "3"
    assert value_of(draft.edited("train.epochs", ""), "train.epochs") == "20"
    assert value_of(draft.reverted("train.epochs"), "train.epochs") == "12"


def test_a_file_in_its_own_folder_keeps_its_remarks_and_its_relative_paths(tmp_path: Path) -> None:
    draft = own(tmp_path).edited("train.epochs", "9").edited("model.name", "resnet50")
    text = draft.text(tmp_path / "mine.toml")
    assert "# Mine." in text
    assert 'root = "photos"  # beside this file' in text
    assert "epochs = 9  # enough" in text
    assert tomllib.loads(text)["model"] == {"name": "resnet50"}


def test_in_another_folder_its_paths_still_name_the_same(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "copy.toml"
    text = own(tmp_path).edited("train.epochs", "9").text(target)
    assert tomllib.loads(text)["data"]["root"] == str(tmp_path / "photos")
    assert "# Mine." in text


def test_values_over_several_lines_are_replaced_whole(tmp_path: Path) -> None:
    source = OWN.replace("betas = 1\n", "") + "[augment]\nscale = [\n  0.5,\n  1.0,\n]\n"
    text = own(tmp_path, source).edited("augment.scale", "[0.6, 1.0]").text(tmp_path / "mine.toml")
    assert tomllib.loads(text)["augment"]["scale"] == [0.6, 1.0]
    assert tomllib.loads(text)["train"]["epochs"] == 7


@given(
    st.sampled_from([field for field in Draft.of("digits").fields() if field.choices]), st.data()
)
def test_what_is_written_is_what_was_judged(field: object, data: st.DataObject) -> None:
    key, choices = field.key, field.choices  # type: ignore[attr-defined]
    written = data.draw(st.sampled_from(choices))
    draft = Draft.of("digits")
    if draft.fault(key, written):
        return
    edited = draft.edited(key, written)
    table = tomllib.loads(edited.text(Path("/nowhere/x.toml")))
    assert RunConfig.model_validate(table) == edited.config


def test_a_config_of_ones_own_is_not_taken_for_a_shipped_one(tmp_path: Path) -> None:
    assert not own(tmp_path).is_shipped
    assert Draft.of("digits").is_shipped
    assert Draft.of(str(shipped_configs()["digits"])).is_shipped


def test_a_file_that_is_not_valid_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"train\.betas"):
        own(tmp_path, OWN)


def test_a_webhook_is_never_shown(tmp_path: Path) -> None:
    source = '[data]\nroot = "p"\n[notify]\nwebhook = "https://example.org/secret"\n'
    draft = own(tmp_path, source)
    assert "secret" not in value_of(draft, WEBHOOK_KEY)
    assert "https://example.org/secret" in draft.edited("train.epochs", "3").text(
        tmp_path / "mine.toml"
    )


def test_a_draft_starts_what_the_file_would(tmp_path: Path) -> None:
    draft = own(tmp_path)
    assert draft.loaded().config == load_config(str(tmp_path / "mine.toml")).config
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        draft.edited("data.root", "").loaded()

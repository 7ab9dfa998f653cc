"""Settings put into a file that a person wrote."""

from __future__ import annotations

import tomllib

import pytest

from ecotui.errors import UsageError
from ecotui.toml_edit import edited

MINE = """# my photos
[data]
root = "photos"   # on the fast disk

[train]  # how
batch_size = 8   # small
epochs = 2

[model]
name = "resnet18"
"""


def test_a_value_is_replaced_and_every_remark_stays() -> None:
    text = edited(MINE, {"train": {"batch_size": 32}}, label="mine.toml")
    assert text == MINE.replace("batch_size = 8 ", "batch_size = 32 ")


def test_a_new_key_goes_to_the_end_of_its_section_and_a_new_section_to_the_end() -> None:
    text = edited(MINE, {"train": {"workers": 2}, "preflight": {"accept": ["x"]}}, label="m")
    assert "epochs = 2\nworkers = 2\n\n[model]" in text
    assert text.index("[preflight]") > text.index("resnet18")
    assert tomllib.loads(text)["preflight"] == {"accept": ["x"]}


def test_none_takes_a_key_away() -> None:
    text = edited(MINE, {"train": {"batch_size": None, "absent": None}}, label="m")
    assert text == MINE.replace("batch_size = 8   # small\n", "")


def test_into_an_empty_file() -> None:
    assert edited("", {"data": {"exclude": "a.txt"}}, label="m") == '[data]\nexclude = "a.txt"\n'


def test_a_hash_in_a_text_is_no_remark() -> None:
    text = edited('[data]\nexclude = "a # b.txt"\n', {"data": {"exclude": "c"}}, label="m")
    assert text == '[data]\nexclude = "c"\n'


@pytest.mark.parametrize(
    "source",
    [
        "train.epochs = 8\n",
        "train = {batch_size = 8}\n",
        "[[train]]\nbatch_size = 8\n",
        "train = 8\n",
    ],
)
def test_what_cannot_be_done_line_by_line_is_told_with_the_lines_to_write(source: str) -> None:
    with pytest.raises(UsageError) as told:
        edited(source, {"train": {"batch_size": 32}}, label="mine.toml")
    assert "mine.toml" in told.value.what
    assert "train.batch_size = 32" in told.value.remedy


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("train.batch_size = 8  # dotted\n", "train.batch_size = 32  # dotted\n"),
        (
            '[preflight]\naccept = [\n  "a",\n]\n[train]\nbatch_size = [\n8]\n',
            '[preflight]\naccept = [\n  "a",\n]\n[train]\nbatch_size = 32\n',
        ),
        ("[train]\r\nbatch_size = 8 # a\r\n", "[train]\r\nbatch_size = 32 # a\r\n"),
        ("\ufeff[train]\nbatch_size = 8\n", "\ufeff[train]\nbatch_size = 32\n"),
        ("[train]\n# a\u2028b\nbatch_size = 8", "[train]\n# a\u2028b\nbatch_size = 32\n"),
    ],
)
def test_dotted_keys_values_over_lines_and_any_line_ends_are_changed(
    source: str, result: str
) -> None:
    assert edited(source, {"train": {"batch_size": 32}}, label="mine.toml") == result


def test_a_value_over_several_lines_is_taken_away_whole() -> None:
    text = edited("[a]\nb = [\n  1,\n]\nc = 2\n", {"a": {"b": None}}, label="m")
    assert text == "[a]\nc = 2\n"


def test_what_is_no_toml_is_told() -> None:
    with pytest.raises(UsageError, match="is not TOML"):
        edited("[train\n", {"train": {"epochs": 1}}, label="mine.toml")

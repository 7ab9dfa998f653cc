"""The line of a key is found as a person would find it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.toml_lines import line_of

SOURCE = """\
# train.epochs = 1
name = "digits"

[ train ]  # the training
epochs = 3
"batch_size" = 8
metric = { kind = "accuracy" }

[augment]
scale = [
  0.5, 1.0,
]
model.name = "x"
"""


@pytest.mark.parametrize(
    ("dotted", "line"),
    [
        ("name", 2),
        ("train", 4),
        ("train.epochs", 5),
        ("train.batch_size", 6),
        ("train.metric.kind", 7),
        ("augment.scale", 10),
        ("augment.model", 13),
        ("augment.model.name", 13),
        ("data.root", None),
        ("train.epoch", None),
        ("", None),
    ],
)
def test_a_key_is_found_on_its_line(dotted: str, line: int | None) -> None:
    assert line_of(SOURCE, dotted) == line


def test_a_dotted_key_without_a_heading_is_found() -> None:
    assert line_of("train.epochs = 3\ntrain . batch_size = 4\n", "train.batch_size") == 2


@given(st.text(alphabet="[]=.\"' #\na\t", max_size=300), st.text(alphabet="a.", max_size=10))
def test_any_source_gives_a_line_of_it_or_none(source: str, dotted: str) -> None:
    line = line_of(source, dotted)
    assert line is None or 1 <= line <= len(source.splitlines())


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", [" " * 1_000_000, "[" + " " * 1_000_000, "a " * 500_000])
def test_one_huge_line_does_not_hang_the_search(source: str) -> None:
    assert line_of(source, "train.epochs") is None

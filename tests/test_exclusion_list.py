from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.audit_categories import CATEGORIES, GROUPS, members
from ecotui.exclusion_list import read, written

NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(NAMES)
def test_any_file_name_comes_back_from_its_line(name: bytes) -> None:
    line = written(name)
    assert line.isprintable()
    assert read(line.encode("utf-8")) == name
    assert read(line.encode("utf-8") + b"\r") == name


@given(st.text(min_size=1, max_size=30).filter(lambda name: "\0" not in name))
def test_any_text_comes_back(name: str) -> None:
    raw = name.encode("utf-8", "surrogatepass")
    assert read(written(raw).encode()) == raw


def test_ordinary_names_stand_as_they_are() -> None:
    assert written("glass/Flasche grün 12.jpg".encode()) == "glass/Flasche grün 12.jpg"
    assert written(b"a\nb\\c\r.jpg") == r"a\nb\\c\r.jpg"
    assert written(b"# a.jpg ") == r"\x23 a.jpg\x20"
    assert written(os.fsencode("a\udcff\x1b")) == r"a\xff\x1b"


@pytest.mark.parametrize("line", [b"", b"   ", b"# a comment", b"\r"])
def test_lines_that_say_nothing(line: bytes) -> None:
    assert read(line) is None


def test_words_of_exclude_mean_categories() -> None:
    assert members("corrupt")[:2] == ("empty", "truncated")
    assert members("leaks") == ("exact_duplicates_across_splits", "near_duplicates_across_splits")
    assert members("dark") == ("dark",)
    assert members("class_names") == members("") == members("nonsense") == ()
    assert all(members(group) for group in GROUPS)
    assert len({each.name for each in CATEGORIES}) == len(CATEGORIES)

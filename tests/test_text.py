"""Foreign text is harmless after `visible`; numbers read as a person would say them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.text import (
    bytes_size,
    counted,
    duration,
    listed,
    nearest,
    number,
    percent,
    visible,
    visible_lines,
)

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None), max_size=200)
NASTY = st.text(
    alphabet="\x00\x07\x1b[]\n\r\t\x7f\x9b\u200b\u200d\u202e\u2066\ufeff\udc80\udfff\u3164\ufe0fab"
)


@given(st.one_of(ANY_TEXT, NASTY), st.integers(min_value=1, max_value=300))
def test_visible_is_one_bounded_line_of_printable_characters(foreign: str, limit: int) -> None:
    shown = visible(foreign, limit=limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [character for character in shown if unicodedata.category(character) in hidden]


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd", "Po"], max_codepoint=0x24F)))
def test_visible_leaves_ordinary_text_alone(text: str) -> None:
    assert visible(text) == text


@given(NASTY)
def test_visible_twice_is_visible_once(foreign: str) -> None:
    assert visible(visible(foreign)) == visible(foreign)


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\e[31mred"),
        ("\x9b31m", "\\u009b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
        ("x\ufe0f", "x\\ufe0f"),
        ("[/", "[/"),
        ("größe 数", "größe 数"),
        (7, "7"),
    ],
)
def test_visible_spells_out_what_cannot_be_seen(foreign: object, shown: str) -> None:
    assert visible(foreign) == shown


def test_a_long_foreign_text_ends_in_an_ellipsis() -> None:
    assert visible("a" * 10, limit=5) == "aaaa…"
    assert visible("a" * 5, limit=5) == "aaaaa"


def test_a_log_becomes_harmless_lines() -> None:
    assert visible_lines("one\ntwo\x1b[2J\r\nthree") == ["one", "two\\e[2J", "three"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (float("inf"), "?"),
        (-3.0, "0 s"),
        (0.4, "0 s"),
        (8, "8 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3_599.4, "59 min 59 s"),
        (7_500, "2 h 05 min"),
        (86_400, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (3_440, "3.4 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_000_000_000, "1.0 GB"),
        (5_000_000_000_000_000, "5000.0 TB"),
    ],
)
def test_bytes_size(num_bytes: int, words: str) -> None:
    assert bytes_size(num_bytes) == words


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.7234, "72.34%"), (0.0, "0.00%"), (1.0, "100.00%"), (None, "?"), (float("nan"), "?")],
)
def test_percent(fraction: float | None, words: str) -> None:
    assert percent(fraction) == words


def test_number_counted_and_listed() -> None:
    assert (number(1.23456), number(2.0, 1), number(None), number(float("inf"))) == (
        "1.2346",
        "2.0",
        "?",
        "?",
    )
    assert counted(1, "epoch") == "1 epoch"
    assert counted(2_000, "epoch") == "2,000 epochs"
    assert counted(0, "class", "classes") == "0 classes"
    assert listed("abc") == "a, b, c"
    assert listed("abcde", limit=3) == "a, b, c and 2 more"


def test_nearest_puts_the_best_first_and_nothing_far_off() -> None:
    assert nearest("digts", ["smoke", "digits"]) == ["digits"]
    assert nearest("zzz", ["smoke", "digits"]) == []

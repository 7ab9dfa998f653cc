from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.errors import UsageError
from ecotui.wall_clock import end_of, parse_span


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("10:00", 600),
        ("120:30", 7_230),
        ("23:50:00", 85_800),
        ("1-00", 86_400),
        ("1-12:30", 131_400),
        ("2-01:02:03", 176_523),
        (" 5 ", 5),
    ],
)
def test_a_span_as_schedulers_write_it(written: str, seconds: float) -> None:
    assert parse_span(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "0", "00:00", "-5", "1h", "1:2:3:4", "nan", "inf", "1e9", "1-", "\x1b[2J", "²"]
)
def test_anything_else_is_refused_in_three_lines(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_span(written)
    assert "\x1b" not in "".join(caught.value.lines())


@given(st.text(max_size=20))
def test_no_text_breaks_it(written: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_span(written) > 0


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total:
        assert parse_span(f"{days}-{hours:02d}:{minutes:02d}:{seconds:02d}") == total


def test_a_limit_begins_now() -> None:
    assert end_of(None) is None
    assert end_of("1:00", now=1_000.0) == 1_060.0

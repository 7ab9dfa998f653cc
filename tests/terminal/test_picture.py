"""The little terminal that the tests read the screen with."""

from __future__ import annotations

import pytest

from tests.terminal.picture import Picture


def test_text_stands_where_it_was_put() -> None:
    picture = Picture(10, 3).feed(b"\x1b[2;3Hab\x1b[1;31mc\x1b[0m\r\nd")
    assert str(picture) == "\n  abc\nd"


@pytest.mark.parametrize("cut", range(1, 24))
def test_bytes_may_come_in_any_pieces(cut: int) -> None:
    sent = "\x1b[?1049h\x1b[1;2H━日b\x1b[3;1Hé".encode()
    picture = Picture(8, 3).feed(sent[:cut]).feed(sent[cut:])
    assert str(picture) == " ━日b\n\né"
    assert picture.modes == {"?1049"}


def test_modes_go_on_and_off() -> None:
    picture = Picture(4, 1).feed(b"\x1b[?1000;1049h\x1b[?25l\x1b[?1000l\x1b[?25h")
    assert picture.modes == {"?1049", "?25"}

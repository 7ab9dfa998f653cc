"""What a message takes and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ecotui.screens.messages import Check, Copy, ErrandEnd


def test_fields_are_given_by_their_order_or_their_names_and_keep_their_defaults() -> None:
    assert vars(Copy("words")).items() >= {"text": "words"}.items()
    assert Copy("words").what == "text"
    assert Copy("words", what="path").what == "path"
    assert Check(is_full=True).is_full
    assert Check("digits").reference == "digits"
    assert not Check().settings


@pytest.mark.parametrize(
    "wrong",
    [
        Copy,
        lambda: Copy("words", "what", "more"),  # type: ignore[call-arg]
        lambda: Copy("words", why="because"),  # type: ignore[call-arg]
        lambda: Copy("words", text="others"),  # type: ignore[misc]
        lambda: ErrandEnd(1),
    ],
)
def test_what_is_missing_unknown_or_twofold_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="takes"):
        wrong()

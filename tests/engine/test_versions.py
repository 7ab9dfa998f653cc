"""Versions and the bounds that ecotui's own record sets for them."""

from __future__ import annotations

import pytest

from ecotui.engine import versions
from ecotui.engine.probe_inventory import PACKAGES


def test_the_bounds_are_read_from_the_record_of_ecotui(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2.2", "textual<9,>=8", "click (>=8.1)", "scikit-learn>=1.4; extra == 'demo'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    assert [str(each) for each in versions.requirements()] == [
        "torch>=2.2",
        "textual>=8,<9",
        "click>=8.1",
    ]


@pytest.mark.parametrize(
    ("version", "is_admitted"),
    [("8.0", True), ("8.2.8", True), ("7.9", False), ("9", False), ("9.0.0rc1", False)],
)
def test_bounds_of_versions_are_kept(version: str, is_admitted: bool) -> None:
    assert versions.Requirement("textual", (">=8", "<9")).admits(version) is is_admitted


@pytest.mark.parametrize(
    ("version", "release"),
    [("2.3.0a0+cpu", (2, 3, 0)), ("", ()), ("\x1b[2J", ()), ("1" * 5_000, (int("1" * 9),))],
)
def test_only_leading_numbers_count(version: str, release: tuple[int, ...]) -> None:
    assert versions.release_of(version) == release


def test_the_record_of_every_package_that_is_needed_is_read() -> None:
    assert {each.name for each in versions.requirements()} <= set(PACKAGES)

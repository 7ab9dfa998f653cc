"""An error is three lines and an exit code."""

from __future__ import annotations

from ecotui.errors import EcoError, EnvironmentFaultError, ExitCode, UsageError


def test_an_error_reads_as_three_lines() -> None:
    error = EcoError("the photo is gone", "a photo", "put it back")
    assert error.lines() == ("error: the photo is gone", "expected: a photo", "to fix: put it back")
    assert str(error) == "the photo is gone"
    assert error.exit_code is ExitCode.ERROR


def test_each_kind_of_error_has_its_exit_code() -> None:
    assert UsageError("a", "b", "c").exit_code == 2
    assert EnvironmentFaultError("a", "b", "c").exit_code == 5
    assert isinstance(UsageError("a", "b", "c"), EcoError)

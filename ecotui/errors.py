"""What can go wrong, in three lines, and the exit codes that scripts rely on.

Every face shows the same three lines of an `EcoError`: what happened, what was
expected, what to do. Knows nothing of where they are shown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every `ecotui` command: an API, never renumbered."""

    DONE = 0
    """All epochs done, or early stopping; any other command that did its work."""
    ERROR = 1
    """An exception, or the engine was killed. The last committed checkpoint stands."""
    USAGE = 2
    """Wrong flags, configuration, model name, data layout or input size. Do not retry."""
    PREFLIGHT = 3
    """Preflight says no: audit or checks found an error in the data or the model."""
    HEALTH = 4
    """A guard gave up: the run was stopped for its health."""
    ENVIRONMENT = 5
    """The environment is broken: absent device, absent weights, broken packages."""
    OUT_OF_MEMORY = 6
    """Out of memory after every fall-back."""
    RESUMABLE = 75
    """Stopped early on request; a checkpoint of the last step is saved."""
    INTERRUPTED = 130
    """Interrupted twice (SIGINT): left at once, without saving."""
    TERMINATED = 143
    """Terminated twice (SIGTERM): left at once, without saving."""


class EcoError(Exception):
    """A failure told to a person in three lines, with the exit code it leads to.

    Attributes:
        what: What happened, naming the file, setting or device concerned.
        expected: What was expected instead.
        remedy: The next step for the person, as a command or setting where possible.
        exit_code: The code that the command ends with.
        more: Lines after the three: where else to look.
    """

    def __init__(
        self,
        what: str,
        expected: str,
        remedy: str,
        exit_code: ExitCode = ExitCode.ERROR,
        *,
        more: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.remedy = remedy
        self.exit_code = exit_code
        self.more = tuple(more)

    def lines(self) -> tuple[str, str, str]:
        """Return the three lines, as every face shows them."""
        return (f"error: {self.what}", f"expected: {self.expected}", f"to fix: {self.remedy}")


class UsageError(EcoError):
    """Flags, configuration, model name, data layout or input size: exit code 2."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(what, expected, remedy, ExitCode.USAGE)


class EnvironmentFaultError(EcoError):
    """An absent device, absent weights or a broken package: exit code 5."""

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        super().__init__(what, expected, remedy, ExitCode.ENVIRONMENT)


def broken_environment(error: ImportError) -> EcoError:
    """Return what to say where a package that ecotui itself needs cannot be imported."""
    return EnvironmentFaultError(
        f"a package that ecotui needs cannot be imported: {error}",
        "the packages that come with ecotui, in the environment of this Python",
        f"install it again: {sys.executable} -m pip install --force-reinstall ecotui",
    )

"""The outermost door of every command: a failure becomes words and an exit code here."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ecotui.errors import EcoError, ExitCode, broken_environment


def exit_code(act: Callable[[], object]) -> int:
    """Do what a command does, and return what the process is to exit with."""
    try:
        result = act()
    except EcoError as error:
        _tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ImportError as error:
        _tell(broken_environment(error))
        return ExitCode.ENVIRONMENT
    except Exception:  # What nobody foresaw becomes a file and one line.
        from ecotui.crash import write_crash_log

        _say(write_crash_log())
        return ExitCode.ERROR
    return result if isinstance(result, int) else 0


def _tell(error: EcoError) -> None:
    from ecotui.text import visible

    for line in (*error.lines(), *error.more):
        _say(visible(line))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

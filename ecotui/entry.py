"""The command `ecotui`: the home at once where nothing is asked for, else the command line.

Reading a command line takes click and every verb's options, which the first frame of the home need
not wait for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ecotui.launching import launching


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `ecotui`.

    Args:
        argv: What follows its name; None for the process's own arguments.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments:
        from ecotui.cli import main as run_command_line

        run_command_line(arguments)
    from ecotui.outer_door import exit_code

    raise SystemExit(exit_code(_home))


def _home() -> int:
    with launching():
        from ecotui import app_verbs

        return app_verbs.run(None, (), None)

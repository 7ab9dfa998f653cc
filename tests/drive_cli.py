"""The command `ecotui` with another engine: `python drive_cli.py HOW ARGS...`.

The stand-in that ends in the way HOW says; or, where HOW is `warm:SOCKET`, the real engine,
forked by the server at that socket.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ecotui import session
from ecotui.cli import main

STAND_IN = Path(__file__).parent / "stand_in_engine.py"
WARM = Path(__file__).parent / "warm_engine.py"


def engine_argv(how: str) -> tuple[str, ...]:
    if how.startswith("warm:"):
        return (sys.executable, "-S", str(WARM), "start", how.removeprefix("warm:"))
    return (sys.executable, str(STAND_IN), how)


if __name__ == "__main__":
    session.ENGINE_ARGV = engine_argv(sys.argv[1])
    main(sys.argv[2:])
